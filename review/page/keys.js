// Which command a key means, and when it means none.

import { $ } from "./view.js";

// `ready()`: whether keys count now. `commands` by key hold always, `letters` unless they are turned off; `mode(letter)`
// is the command of a failure mode's letter, or null. `run(command)` takes what a key means.
export function listen({ ready, commands, letters, mode, run }) {
  document.addEventListener("keydown", (event) => {
    if (!ready() || document.querySelector("dialog[open]")) return;
    const meant = isTheirs(event) ? null : meaning(event, commands, letters, mode);
    if (!meant) return;
    event.preventDefault();
    if (!event.repeat) run(meant);
  });
}

// Keys of the browser, of a control that has the focus, and of writing.
function isTheirs({ key, target, ctrlKey, altKey, metaKey, shiftKey, isComposing }) {
  if (ctrlKey || altKey || metaKey || isComposing) return true;
  if (target === $("note")) return key !== "Escape" && (key !== "Enter" || shiftKey);
  if (target.matches("button")) return key === "Enter" || key === " ";
  return target.matches("input") && key === " ";
}

function meaning(event, commands, letters, mode) {
  if (commands[event.key]) return commands[event.key];
  if (!$("letters").checked) return null;
  const letter = letterOf(event);
  return letters[letter] ?? mode(letter);
}

// On a keyboard of another script, the letter that stands at the same place.
function letterOf({ key, code }) {
  const elsewhere = /^\p{L}$/u.test(key) && !/^[a-z]$/iu.test(key) && /^Key[A-Z]$/.test(code);
  return (elsewhere ? code.slice(3) : key).toLowerCase();
}
