// The review page: which trace is read, what is marked, and what each command does.

import { choose, chosen, isDecided, isSaved, settle, toggle } from "./choice.js";
import { keep } from "./keep.js";
import { listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import * as server from "./server.js";
import { $, listModes, said, short, showCase, showFindings, spoken } from "./view.js";

const state = {
  reviewer: "",
  queue: null, // the sample's keys, the modes, what is shown, and this reviewer's marks by key
  at: 0,
  letters: new Map(), // mode by key
  cases: new Map(), // promises of cases, by key
  choices: [], // what was chosen before on this trace, to undo it
  saves: [], // {key, before}, to undo a mark
  outbox: null,
  turn: Promise.resolve(), // commands wait for the one before: a key typed while a trace loads is for that trace
};

const key = () => state.queue.keys[state.at];
const marked = () => state.queue.marks[key()] ?? null;

// ---- the reviewer

function address() {
  return new URLSearchParams(location.hash.slice(1));
}

function setAddress(changes) {
  const parts = address();
  for (const [name, value] of Object.entries(changes)) parts.set(name, value);
  history.replaceState(null, "", `#${parts}`);
}

async function begin(name) {
  const queue = await server.queue(name);
  state.reviewer = name;
  setAddress({ reviewer: name });
  keep.set("review:last", name);
  if (!state.queue) {
    listModes(queue.modes, changed);
    state.letters = new Map(queue.modes.map(({ mode, key }) => [key, mode]));
  }
  Object.assign(state, { queue, cases: new Map(), saves: [], outbox: new Outbox(name, heard) });
  for (const { key, modes, note } of state.outbox.waiting()) remember(key, modes === null ? null : { modes, note });
  $("title").textContent = document.title = `Review: ${queue.title}`;
  $("who").textContent = name;
  for (const part of document.querySelectorAll("main, nav, #progress, #person")) part.hidden = false;
  state.outbox.send();
  const asked = queue.keys.indexOf(address().get("at"));
  const unmarked = queue.keys.findIndex((one) => !queue.marks[one]);
  await go(asked >= 0 ? asked : Math.max(unmarked, 0));
}

function askName() {
  $("name").value = state.reviewer || keep.get("review:last") || "";
  $("name-problem").textContent = "";
  $("ask").showModal();
  $("name").select();
}

$("name-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await begin($("name").value.normalize("NFC").trim().replace(/\s+/gu, " "));
    $("ask").close();
    $("reading").focus({ preventScroll: true });
  } catch (problem) {
    $("name-problem").textContent = problem.message;
  }
});

$("ask").addEventListener("cancel", (event) => state.reviewer || event.preventDefault());

// ---- one trace

function caseOf(wanted) {
  if (!state.cases.has(wanted)) state.cases.set(wanted, server.trace(wanted));
  while (state.cases.size > 4) state.cases.delete(state.cases.keys().next().value);
  return state.cases.get(wanted);
}

async function go(index) {
  const { keys } = state.queue;
  if (index < 0 || index >= keys.length) return;
  const wanted = keys[index];
  let shown;
  try {
    shown = await caseOf(wanted);
  } catch (problem) {
    state.cases.delete(wanted);
    trouble(problem.message);
    return;
  }
  state.at = index;
  state.choices = [];
  setAddress({ at: wanted });
  showCase(shown);
  put(keep.get(draftName()) ?? marked());
  $("place").textContent = `Trace ${index + 1} of ${keys.length}`;
  $("back").disabled = index === 0;
  $("forward").disabled = index + 1 === keys.length;
  count();
  reveal();
  if (index + 1 < keys.length) caseOf(keys[index + 1]).catch(() => state.cases.delete(keys[index + 1]));
}

async function reveal() {
  const { shown, modes } = state.queue;
  const wanted = key();
  const may = shown === "at_once" || (shown === "after" && marked() && !isWaiting(wanted));
  $("found").hidden = true;
  if (!may) return;
  try {
    const found = await server.findings(wanted, state.reviewer);
    if (wanted !== key()) return;
    showFindings(found, modes);
    $("found").hidden = false;
  } catch (problem) {
    trouble(problem.message);
  }
}

function isWaiting(wanted) {
  return state.outbox.waiting().some((mark) => mark.key === wanted);
}

function count() {
  const { keys, marks } = state.queue;
  const done = keys.filter((one) => marks[one]).length;
  $("bar").max = keys.length;
  $("bar").value = done;
  $("count").textContent = `${done} of ${keys.length} marked`;
}

// ---- what is chosen

function draftName() {
  return keep.name("draft", state.reviewer, key());
}

function put(given) {
  choose(given);
  state.before = chosen();
  tell();
}

// After every change of the form: remember it for undo, and keep it until it is saved.
function changed({ target }) {
  settle(target);
  if (target !== $("note")) state.choices.push(state.before);
  state.before = chosen();
  keepDraft();
  tell();
}

function keepDraft() {
  const now = chosen();
  if (isSaved(now, marked())) keep.remove(draftName());
  else keep.set(draftName(), now);
}

function tell() {
  const words = isSaved(chosen(), marked()) ? (marked() ? "saved" : "not marked") : "not saved";
  $("state").textContent = marked() && isWaiting(key()) ? "on its way" : words;
  $("state").dataset.state = $("state").textContent;
}

function press(box) {
  toggle(box);
  changed({ target: box });
  say(`${box.id === "clean" ? "clean" : spoken(box.value)}: ${box.checked ? "chosen" : "taken away"}`);
}

// ---- saving

function remember(wanted, mark) {
  if (mark) state.queue.marks[wanted] = mark;
  else delete state.queue.marks[wanted];
}

function send(wanted, mark) {
  remember(wanted, mark);
  state.outbox.put({ reviewer: state.reviewer, key: wanted, modes: mark?.modes ?? null, note: mark?.note ?? "" });
}

async function save() {
  const now = chosen();
  if (!isDecided(now)) return say("Nothing is chosen: mark a failure mode, or c for clean.");
  if (now.modes.includes("other") && !now.note.trim()) {
    $("note").focus();
    return say("Say in the note what is wrong, since no mode does.");
  }
  state.saves.push({ key: key(), before: marked(), was: now });
  keep.remove(draftName());
  send(key(), { modes: now.modes, note: now.note });
  await onward();
}

async function onward() {
  const { keys, marks } = state.queue;
  const next = state.at + 1 < keys.length ? state.at + 1 : keys.findIndex((one) => !marks[one]);
  if (next >= 0) await go(next);
  $("reading").focus({ preventScroll: true });
}

async function undo() {
  const choice = state.choices.pop();
  if (choice) {
    put({ ...choice, note: $("note").value });
    keepDraft();
    return say("The last choice is undone.");
  }
  const last = state.saves.pop();
  if (!last) return say("There is nothing to undo.");
  send(last.key, last.before);
  keep.set(keep.name("draft", state.reviewer, last.key), last.was);
  await go(state.queue.keys.indexOf(last.key));
  return say("The mark is taken back: it stands here, not saved.");
}

// What the outbox has to say.
async function heard(problem, saved) {
  trouble(problem);
  count();
  tell();
  if (!saved) return;
  const { keys, marks, shown } = state.queue;
  const number = keys.indexOf(saved.key) + 1;
  if (saved.modes === null) return say(`Trace ${number} is not marked any more.`);
  const last = keys.every((one) => marks[one]) ? " Every trace is marked." : "";
  const first = `Saved: trace ${number}, ${said(saved)}.`;
  say(first + last);
  if (saved.key === key()) return reveal();
  if (shown !== "after") return;
  const found = await inShort(saved.key);
  if ($("status").textContent === first + last) say(`${first} ${found}${last}`); // nothing was said meanwhile
}

async function inShort(wanted) {
  try {
    return short(await server.findings(wanted, state.reviewer));
  } catch {
    return ""; // they are shown when the reviewer goes back
  }
}

function say(text) {
  $("status").textContent = text;
}

function trouble(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// ---- keys and buttons

const back = () => go(state.at - 1);
const forward = () => go(state.at + 1);
const help = () => $("help").showModal();

function run(command) {
  state.turn = state.turn.then(command).catch((problem) => trouble(problem.message));
}

listen({
  ready: () => state.queue,
  commands: { ArrowLeft: back, ArrowRight: forward, Enter: save, Escape: () => $("reading").focus() },
  letters: {
    " ": () => press($("clean")),
    c: () => press($("clean")),
    n: () => $("note").focus(),
    u: undo,
    "/": () => $(document.activeElement === $("reading") ? "case" : "reading").focus(),
    "?": help,
  },
  mode: (letter) => (state.letters.has(letter) ? () => press($(`mode-${state.letters.get(letter)}`)) : null),
  run,
});

$("marks").addEventListener("submit", (event) => {
  event.preventDefault();
  run(save);
});
$("clean").addEventListener("change", changed);
$("note").addEventListener("input", changed);
$("undo").addEventListener("click", () => run(undo));
$("back").addEventListener("click", () => run(back));
$("forward").addEventListener("click", () => run(forward));
$("rename").addEventListener("click", askName);
$("open-help").addEventListener("click", help);
$("letters").checked = keep.get("review:letters") ?? true;
$("letters").addEventListener("change", () => keep.set("review:letters", $("letters").checked));

// The address of a new start of the server, opened in this tab, changes nothing but what stands after `#`.
const secret = address().get("secret");
addEventListener("hashchange", () => address().get("secret") !== secret && location.reload());

if (address().get("reviewer")) begin(address().get("reviewer")).catch((problem) => trouble(problem.message));
else askName();
