// Sound that the server has not acknowledged, kept in this browser: it outlives a lost connection and a reload.
// A frame is found by its run and its number. A run is one press of “Start”: { key, session, base, … }, see session.js.

export const FRAME = 0.1; // seconds of sound
const SILENCE = new ArrayBuffer(3200); // in place of a frame that this browser has lost: what follows stays in time
const VERSION = 1;
const AGAIN = 1_000; // ms until a read that failed is tried again
const RECENT = 600; // frames that stay in memory as well, a minute: to be sent without reading them again

/** A store of one person's. Where the browser gives no IndexedDB, or has no room, memory serves until the page closes. */
export class Store {
  #database = null;
  #memory = new Map(); // "key number" -> { frame, kept }, those that are not kept on disk and the latest ones

  static async open(name) {
    const store = new Store();
    await store.#open(name);
    return store;
  }

  async #open(name) {
    try {
      const opening = indexedDB.open(name, VERSION);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore("runs", { keyPath: "key" });
        opening.result.createObjectStore("frames");
      };
      this.#database = await answered(opening);
      this.#database.onclose = () => this.#open(name); // by the browser, not by us
    } catch {
      // private windows of some browsers
    }
  }

  async runs() {
    return await this.#read("runs", (runs) => runs.getAll()) ?? [];
  }

  async keep(run) {
    await this.#write((runs) => runs.put(run));
  }

  /** The run is over: it goes, with whatever is left of its sound. */
  async forget(key) {
    this.#release(key, Infinity);
    await this.#write((runs, frames) => {
      runs.delete(key);
      frames.delete(IDBKeyRange.bound([key], [key, []]));
    });
  }

  /** Whether it is kept, as soon as that is known. In memory it is in any case. */
  async put(key, number, frame) {
    const entry = { frame, kept: false };
    this.#memory.set(`${key} ${number}`, entry);
    entry.kept = await this.#write((_, frames) => frames.put(frame, [key, number]));
    const [oldest] = this.#memory;
    if (this.#memory.size > RECENT && oldest[1].kept) this.#memory.delete(oldest[0]);
    return entry.kept;
  }

  /** `count` frames from this one on. */
  async frames(key, first, count) {
    const wanted = Array.from({ length: count }, (_, at) => this.#memory.get(`${key} ${first + at}`)?.frame);
    if (wanted.every(Boolean)) return wanted;
    const range = IDBKeyRange.bound([key, first], [key, first + count - 1]);
    const read = await this.#read("frames", (frames) => frames.getAllKeys(range), (frames) => frames.getAll(range));
    read?.[0].forEach(([, number], at) => { wanted[number - first] ??= read[1][at]; });
    return wanted.map((frame) => frame ?? SILENCE);
  }

  /** The server has all before this one. */
  async drop(key, until) {
    this.#release(key, until);
    await this.#write((_, frames) => frames.delete(IDBKeyRange.bound([key], [key, until], false, true)));
  }

  #release(key, until) {
    for (const name of this.#memory.keys()) {
      const at = name.lastIndexOf(" ");
      if (name.slice(0, at) === key && Number(name.slice(at + 1)) < until) this.#memory.delete(name);
    }
  }

  /** The numbers of the first frame and of the one after the last; null where there is none. */
  async extent(key) {
    const range = IDBKeyRange.bound([key], [key, []]);
    const ends = await this.#read("frames", (frames) => frames.openKeyCursor(range), (frames) => frames.openKeyCursor(range, "prev"));
    return ends?.[0] ? { first: ends[0].key[1], next: ends[1].key[1] + 1 } : null;
  }

  /** What the requests give, one result or a list; undefined where they fail, also when they are tried again. */
  async #read(name, ...asks) {
    for (const pause of [0, AGAIN]) {
      if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
      try {
        const store = this.#database.transaction(name).objectStore(name);
        const results = await Promise.all(asks.map((ask) => answered(ask(store))));
        return asks.length > 1 ? results : results[0];
      } catch {
        // the browser has closed it, and it is being opened again; or there is none
      }
    }
    return undefined;
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
