// What the page asks of its server. The run's secret stands in the address after `#` and goes back in a header.

const SECRET = new URLSearchParams(location.hash.slice(1)).get("secret") ?? "";

export class Refused extends Error {
  // `passing`: it may work when it is tried again.
  constructor(message, passing) {
    super(message);
    this.passing = passing;
  }
}

export function queue(reviewer) {
  return ask(`api/queue?${new URLSearchParams({ reviewer })}`);
}

export function trace(key) {
  return ask(`api/traces/${key}`);
}

export function findings(key, reviewer) {
  return ask(`api/findings/${key}?${new URLSearchParams({ reviewer })}`);
}

export function save(mark) {
  return ask("api/marks", { method: "POST", body: JSON.stringify(mark) });
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { "X-Review-Secret": SECRET } });
  } catch {
    throw new Refused("the server does not answer: is `safety-reasoning review` still running?", true);
  }
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({ error: answer.statusText }));
  throw new Refused(said.error, answer.status >= 500);
}
