// Sound that this browser keeps until the server has it. It outlives a lost connection, a reload and a crash.

/**
 * One press of “Start”: what the database `runs` holds. Its frames are numbered from 0.
 * @typedef {object} Run
 * @property {string} key
 * @property {string} title
 * @property {string} language
 * @property {string} [prompt] names and terms to expect; earlier versions of this page kept none
 * @property {number} began ms since 1970
 * @property {boolean} [discarded] thrown away by the person, and still to be forgotten
 */

export const FRAME = 0.1; // seconds of sound in a frame
const SILENCE = new ArrayBuffer(3200); // stands for a frame that this browser has lost, so that later ones keep their times
const VERSION = 1; // of the database
const AGAIN = 1_000; // ms before a read that failed is tried again
const RECENT = 600; // frames, a minute, that stay in memory as well: sending them needs no read

/**
 * One person's runs and frames, in IndexedDB. What IndexedDB does not take, for want of room or in a private window, is held
 * in memory until the page closes. No method rejects.
 * @template {Run} R
 */
export class Store {
  /** @type {IDBDatabase | null} */
  #database = null;
  /** The latest frames, and all that are not in the database, by "key number".
   *  @type {Map<string, { frame: ArrayBuffer, kept: boolean }>} */
  #memory = new Map();

  /**
   * @template {Run} R
   * @param {string} name of the database
   * @returns {Promise<Store<R>>}
   */
  static async open(name) {
    /** @type {Store<R>} */
    const store = new Store();
    await store.#open(name);
    return store;
  }

  /** @param {string} name */
  async #open(name) {
    try {
      const opening = indexedDB.open(name, VERSION);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore("runs", { keyPath: "key" });
        opening.result.createObjectStore("frames");
      };
      this.#database = await answered(opening);
      this.#database.onclose = () => this.#open(name); // the browser closed it, not we
    } catch {
      // the browser has no IndexedDB here
    }
  }

  /** @returns {Promise<R[]>} */
  async runs() {
    return await this.#read("runs", (runs) => answered(runs.getAll())) ?? [];
  }

  /** @param {R} run */
  async keep(run) {
    await this.#write((runs) => runs.put(run));
  }

  /** Delete a run and its frames. @param {string} key */
  async forget(key) {
    this.#release(key, Infinity);
    await this.#write((runs, frames) => {
      runs.delete(key);
      frames.delete(IDBKeyRange.bound([key], [key, []]));
    });
  }

  /**
   * @param {string} key of the run
   * @param {number} number
   * @param {ArrayBuffer} frame
   * @returns {Promise<boolean>} whether the frame outlives this page
   */
  async put(key, number, frame) {
    const entry = { frame, kept: false };
    this.#memory.set(`${key} ${number}`, entry);
    entry.kept = await this.#write((_, frames) => frames.put(frame, [key, number]));
    const [oldest] = this.#memory;
    if (this.#memory.size > RECENT && oldest[1].kept) this.#memory.delete(oldest[0]);
    return entry.kept;
  }

  /**
   * `count` frames from `first` on.
   * @param {string} key of the run
   * @param {number} first
   * @param {number} count
   * @returns {Promise<ArrayBuffer[]>}
   */
  async frames(key, first, count) {
    const wanted = Array.from({ length: count }, (_, at) => this.#memory.get(`${key} ${first + at}`)?.frame);
    if (wanted.includes(undefined)) {
      const range = IDBKeyRange.bound([key, first], [key, first + count - 1]);
      const read = await this.#read("frames", (frames) => (
        Promise.all([answered(frames.getAllKeys(range)), answered(frames.getAll(range))])
      ));
      const [keys, frames] = read ?? [[], []];
      /** @type {[string, number][]} */ (keys).forEach(([, number], at) => { wanted[number - first] ??= frames[at]; });
    }
    return wanted.map((frame) => frame ?? SILENCE);
  }

  /**
   * Delete the frames before `until`, which the server has.
   * @param {string} key of the run
   * @param {number} until
   */
  async drop(key, until) {
    this.#release(key, until);
    await this.#write((_, frames) => frames.delete(IDBKeyRange.bound([key], [key, until], false, true)));
  }

  /**
   * @param {string} key
   * @param {number} until
   */
  #release(key, until) {
    for (const name of this.#memory.keys()) {
      const at = name.lastIndexOf(" ");
      if (name.slice(0, at) === key && Number(name.slice(at + 1)) < until) this.#memory.delete(name);
    }
  }

  /**
   * The numbers of a run's first frame and of the one after its last; null where it has none.
   * @param {string} key
   */
  async extent(key) {
    const range = IDBKeyRange.bound([key], [key, []]);
    const ends = await this.#read("frames", (frames) => (
      Promise.all([answered(frames.openKeyCursor(range)), answered(frames.openKeyCursor(range, "prev"))])
    ));
    const [first, last] = (ends ?? []).map((cursor) => /** @type {[string, number] | undefined} */ (cursor?.key)?.[1]);
    return first !== undefined && last !== undefined ? { first, next: last + 1 } : null;
  }

  /**
   * @template T
   * @param {"runs" | "frames"} name
   * @param {(store: IDBObjectStore) => Promise<T>} work
   * @returns {Promise<T | undefined>} undefined where it fails twice
   */
  async #read(name, work) {
    for (const pause of [0, AGAIN]) {
      if (pause) await new Promise((resolve) => { setTimeout(resolve, pause); });
      try {
        if (this.#database) return await work(this.#database.transaction(name).objectStore(name));
      } catch {
        // the browser has closed the database, which is being opened again
      }
    }
    return undefined;
  }

  /**
   * @param {(runs: IDBObjectStore, frames: IDBObjectStore) => void} work
   * @returns {Promise<boolean>} whether it was written
   */
  async #write(work) {
    try {
      if (!this.#database) return false;
      const transaction = this.#database.transaction(["runs", "frames"], "readwrite");
      work(transaction.objectStore("runs"), transaction.objectStore("frames"));
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      return true;
    } catch {
      return false;
    }
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
