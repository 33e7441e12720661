// Sound that the server has not acknowledged, kept in this browser: it outlives a lost connection and a reload.
// A frame is found by its run and its number. A run is one press of “Start”: { key, session, base, … }, see session.js.

const VERSION = 1;

/** A store of one person's. Where the browser gives no IndexedDB, or has no room, memory serves until the page closes. */
export class Store {
  #database = null;
  #spare = new Map(); // of the runs' frames: "key number" -> ArrayBuffer

  static async open(name) {
    const store = new Store();
    try {
      const opening = indexedDB.open(name, VERSION);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore("runs", { keyPath: "key" });
        opening.result.createObjectStore("frames");
      };
      store.#database = await answered(opening);
    } catch {
      // private windows of some browsers
    }
    return store;
  }

  async runs() {
    return await this.#read("runs", (runs) => runs.getAll()) ?? [];
  }

  async keep(run) {
    await this.#write((runs) => runs.put(run));
  }

  /** The run is over: it goes, with whatever is left of its sound. */
  async forget(key) {
    for (const name of this.#spare.keys()) if (name.startsWith(`${key} `)) this.#spare.delete(name);
    await this.#write((runs, frames) => {
      runs.delete(key);
      frames.delete(IDBKeyRange.bound([key], [key, []]));
    });
  }

  /** Resolves when it is kept. */
  async put(key, number, frame) {
    const kept = await this.#write((_, frames) => frames.put(frame, [key, number]));
    if (!kept) this.#spare.set(`${key} ${number}`, frame);
  }

  /** `count` frames from this one on, `undefined` for each that is not there. */
  async frames(key, first, count) {
    const range = IDBKeyRange.bound([key, first], [key, first + count - 1]);
    const [names, values] = await this.#read("frames", (frames) => frames.getAllKeys(range), (frames) => frames.getAll(range)) ?? [[], []];
    const found = new Map(names.map(([, number], at) => [number, values[at]]));
    return Array.from({ length: count }, (_, at) => found.get(first + at) ?? this.#spare.get(`${key} ${first + at}`));
  }

  /** The server has all before this one. */
  async drop(key, until) {
    for (const name of this.#spare.keys()) {
      const [run, number] = name.split(" ");
      if (run === key && Number(number) < until) this.#spare.delete(name);
    }
    await this.#write((_, frames) => frames.delete(IDBKeyRange.bound([key], [key, until], false, true)));
  }

  /** The numbers of the first frame and of the one after the last; null where there is none. */
  async extent(key) {
    const range = IDBKeyRange.bound([key], [key, []]);
    const names = await this.#read("frames", (frames) => frames.getAllKeys(range)) ?? [];
    return names.length ? { first: names[0][1], next: names.at(-1)[1] + 1 } : null;
  }

  /** What the requests give, one result or a list; undefined where they fail. */
  async #read(name, ...asks) {
    try {
      const store = this.#database.transaction(name).objectStore(name);
      const results = await Promise.all(asks.map((ask) => answered(ask(store))));
      return asks.length > 1 ? results : results[0];
    } catch {
      return undefined;
    }
  }

  /** Whether it was written. */
  async #write(work) {
    try {
      const transaction = this.#database.transaction(["runs", "frames"], "readwrite");
      work(transaction.objectStore("runs"), transaction.objectStore("frames"));
      await new Promise((done, failed) => {
        transaction.oncomplete = done;
        transaction.onabort = () => failed(transaction.error);
      });
      return true;
    } catch {
      return false;
    }
  }
}

function answered(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
