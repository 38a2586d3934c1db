// Puts things on the page. Every text that was not written for the page goes in as a text node, never as markup.

export const $ = (id) => document.getElementById(id);

// Characters that are not seen or that turn the reading direction; lone halves of a pair of UTF-16 units too.
const UNSEEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb]|\p{Cs}/gu;
const MOST_SHOWN = 2000; // of them: each is an element, and a hostile text may hold a million
const BLOCK = 8000; // UTF-16 units

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The text, with a label at each unseen character; the label is no part of it, so it is not copied. It is cut into
// blocks, of which the browser lays out only those in sight: one line of a megabyte would stop it for many seconds.
export function putText(target, text) {
  let left = MOST_SHOWN;
  const blocks = cut(text).map((piece) => {
    const parts = labelled(piece, left);
    left -= parts.length >> 1;
    return parts;
  });
  if (blocks.length === 1) target.replaceChildren(...blocks[0]);
  else target.replaceChildren(...blocks.map((parts) => element("div", {}, ...parts)));
}

function labelled(text, most) {
  const parts = [];
  let from = 0;
  for (const { 0: char, index } of text.matchAll(UNSEEN)) {
    if (parts.length >= 2 * most) break;
    const mark = element("span", { className: "unseen", textContent: char });
    mark.dataset.name = `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    parts.push(text.slice(from, index), mark);
    from = index + char.length;
  }
  return [...parts, text.slice(from)];
}

// Behind a line break if there is one, else behind a space, else wherever that cuts no character.
function cut(text) {
  const pieces = [];
  let from = 0;
  while (text.length - from > BLOCK) {
    const piece = text.slice(from, from + BLOCK);
    const at = piece.lastIndexOf("\n") + 1 || piece.lastIndexOf(" ") + 1 || BLOCK - isHigh(piece.charCodeAt(BLOCK - 1));
    pieces.push(piece.slice(0, at));
    from += at;
  }
  return [...pieces, text.slice(from)];
}

function isHigh(unit) {
  return unit >= 0xd800 && unit < 0xdc00 ? 1 : 0;
}

function block(name, text) {
  const body = element("pre", { dir: "auto" });
  putText(body, text);
  return element("div", { className: "block" }, element("h3", { textContent: name }), body);
}

export function showCase(shown) {
  $("inputs").replaceChildren(...shown.inputs.map(({ name, text }) => block(name, text)));
  $("labels").replaceChildren(...shown.labels.flatMap(({ name, text }) => pair(name, text)));
  putText($("answer"), shown.answer || "(none)");
  putText($("trace"), shown.trace);
  const words = shown.trace.split(/\s+/u).filter(Boolean).length;
  $("origin").textContent = `${shown.teacher}, ${shown.step}, ${words.toLocaleString("en")} ${words === 1 ? "word" : "words"}`;
  for (const id of ["case", "reading"]) $(id).scrollTop = 0;
  $("modes-pane").scrollTop = 0;
}

function pair(name, text) {
  return [element("dt", { textContent: name }), element("dd", { textContent: text })];
}

export function listModes(modes, changed) {
  for (const { mode, key, words, explained } of modes) {
    const box = element("input", { type: "checkbox", value: mode, id: `mode-${mode}`, onchange: changed });
    box.setAttribute("aria-keyshortcuts", key);
    const letter = element("kbd", { textContent: key });
    letter.setAttribute("aria-hidden", "true");
    const text = element("span", {}, element("b", { textContent: spoken(mode) }), " ", element("small", { textContent: words }));
    $("choices").append(element("label", { className: "mode", title: explained || words }, box, letter, text));
    const name = element("dt", {}, element("kbd", { textContent: key }), ` ${spoken(mode)}`);
    $("explained").append(name, element("dd", { textContent: explained || words }));
  }
}

export function spoken(mode) {
  return mode.replaceAll("_", " ");
}

export function said(mark) {
  return mark.modes.length ? mark.modes.map(spoken).join(", ") : "clean";
}

export function showFindings(found, modes) {
  const words = new Map(modes.map((one) => [one.mode, one.words]));
  const parts = list("The filters", found.filters.map((mode) => line(spoken(mode), words.get(mode))), "nothing.");
  if (found.judge !== null) {
    const evidence = found.judge.found.map(({ mode, evidence }) => line(spoken(mode), evidence));
    const fault = found.judge.fault;
    parts.push(...list("The judge", evidence, fault ? `could not judge (${spoken(fault)}).` : "nothing."));
  }
  const fate = found.released ? "released" : "not released";
  parts.push(element("p", { textContent: `Attempt ${found.attempt}, ${fate}.` }));
  $("findings").replaceChildren(...parts);
}

export function short(found) {
  const judge = found.judge?.fault ? "could not judge" : found.judge?.found.map(({ mode }) => spoken(mode)).join(", ");
  const parts = [`Filters: ${found.filters.map(spoken).join(", ") || "nothing"}.`];
  if (found.judge !== null) parts.push(`Judge: ${judge || "nothing"}.`);
  return parts.join(" ");
}

function line(name, text) {
  const words = element("span", { dir: "auto" });
  putText(words, text);
  return element("li", {}, element("b", { textContent: name }), ": ", words);
}

function list(who, items, none) {
  if (!items.length) return [element("p", { textContent: `${who}: ${none}` })];
  return [element("p", { textContent: `${who}:` }), element("ul", {}, ...items)];
}
