// Marks on their way to the store. Each is kept in the browser until the server says that it is on disk, so that a
// full disk, a locked store or a stopped server loses none; a reload or a new start of the server sends them again.

import { save } from "./server.js";
import { keep } from "./keep.js";

const LONGEST_WAIT_MS = 15000;

export class Outbox {
  #reviewer;
  #told;
  #refused = new Map(); // what the server will not take, by name, and why: trying again would not help
  #sending = false;
  #wait_ms = 500;
  #timer = 0;

  // `told(problem, saved)` hears of every attempt: what stands in the way or "", and the mark that was saved or null.
  constructor(reviewer, told) {
    this.#reviewer = reviewer;
    this.#told = told;
  }

  waiting() {
    return this.#names().map((name) => keep.get(name));
  }

  put(mark) {
    const name = keep.name("mark", this.#reviewer, mark.key);
    this.#refused.delete(name);
    keep.set(name, mark);
    this.send();
  }

  async send() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    try {
      for (let name; (name = this.#names().find((one) => !this.#refused.has(one))); ) await this.#sendOne(name);
      this.#wait_ms = 500;
    } catch (problem) {
      this.#told(`${this.#names().length} not saved yet: ${problem.message}. Trying again …`, null);
      this.#timer = setTimeout(() => this.send(), this.#wait_ms);
      this.#wait_ms = Math.min(this.#wait_ms * 2, LONGEST_WAIT_MS);
    } finally {
      this.#sending = false;
    }
  }

  async #sendOne(name) {
    const mark = keep.get(name);
    try {
      await save(mark);
    } catch (problem) {
      if (problem.passing) throw problem;
      this.#refused.set(name, problem.message);
      this.#told(this.#refusal(), null);
      return;
    }
    if (JSON.stringify(keep.get(name)) === JSON.stringify(mark)) keep.remove(name); // not if marked anew meanwhile
    this.#told(this.#refusal(), mark);
  }

  #names() {
    return keep.names(keep.name("mark", this.#reviewer, ""));
  }

  #refusal() {
    const [why] = this.#refused.values();
    return why ? `${this.#refused.size} not saved, and kept in this browser: ${why}` : "";
  }
}
