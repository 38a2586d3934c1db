// What the browser keeps for the page between reloads; in the tab's memory where its storage is full or forbidden.

const memory = new Map();

export const keep = {
  name: (kind, reviewer, key) => `review:${kind}:${encodeURIComponent(reviewer)}:${key}`,

  get(name) {
    const text = memory.get(name) ?? stored((storage) => storage.getItem(name));
    return text == null ? null : JSON.parse(text);
  },

  set(name, value) {
    const text = JSON.stringify(value);
    memory.set(name, text);
    stored((storage) => {
      storage.setItem(name, text);
      memory.delete(name);
    });
  },

  remove(name) {
    memory.delete(name);
    stored((storage) => storage.removeItem(name));
  },

  names(prefix) {
    const all = new Set([...memory.keys(), ...(stored((storage) => Object.keys(storage)) ?? [])]);
    return [...all].filter((name) => name.startsWith(prefix)).sort();
  },
};

function stored(use) {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}
