// What is chosen on the form, read and set; nothing is kept or sent here.

import { $ } from "./view.js";

const boxes = () => [...$("choices").querySelectorAll("input[value]:not(#clean)")];

export function chosen() {
  return {
    modes: $("clean").checked ? [] : boxes().filter((box) => box.checked).map((box) => box.value),
    note: $("note").value,
    clean: $("clean").checked,
  };
}

// `given`: a draft, a mark, or null for nothing.
export function choose(given) {
  const modes = given?.modes ?? [];
  for (const box of boxes()) box.checked = modes.includes(box.value);
  $("clean").checked = Boolean(given) && (given.clean ?? modes.length === 0);
  $("note").value = given?.note ?? "";
}

// A trace is clean or has faults, never both: what was chosen last holds.
export function settle(changed) {
  if (changed === $("clean") && changed.checked) for (const box of boxes()) box.checked = false;
  else if (boxes().some((box) => box.checked)) $("clean").checked = false;
}

export function toggle(box) {
  box.checked = !box.checked;
  box.closest("label").scrollIntoView({ block: "nearest" });
}

export function isDecided(choice) {
  return choice.clean || choice.modes.length > 0;
}

export function isSaved(choice, mark) {
  if (!mark) return !isDecided(choice) && !choice.note;
  return isDecided(choice) && choice.note === mark.note && String(choice.modes) === String(mark.modes);
}
