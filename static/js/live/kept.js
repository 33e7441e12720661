// Runs that earlier visits left in this browser. Each has a row in the list #open, to go on with it or to throw it away.
import { appendCopy, byId, data, one } from "../dom.js";
import { say } from "../toast.js";

/** @import { Run, Store } from "./store.js" */

/** Tell other windows that this run goes on here. The lock lasts until the page is left. @param {Run} run */
export function claim({ key }) {
  navigator.locks.request(key, () => new Promise(() => {}));
}

/**
 * The runs that no window has claimed, each with the number of its frames. Those that were thrown away or have no frames
 * are forgotten.
 * @template {Run} R
 * @param {Store<R>} store
 */
export async function leftBehind(store) {
  const { held = [] } = await navigator.locks.query();
  /** @type {[run: R, frames: number][]} */
  const left = [];
  for (const run of await store.runs()) {
    if (held.some(({ name }) => name === run.key)) continue;
    const extent = run.discarded ? null : await store.extent(run.key);
    if (extent) left.push([run, extent.next - extent.first]);
    else await store.forget(run.key);
  }
  return left;
}

/** Give the run a row, and return the row. @param {Run} run */
export function addRow({ title, began }) {
  const row = appendCopy("kept", byId("open"));
  if (title) one(row, ".name").textContent = title;
  const language = document.documentElement.lang;
  one(row, ".when").textContent = new Date(began).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  return row;
}

/**
 * Throw a run away, unless the person undoes it within ten seconds.
 * @template {Run} R
 * @param {HTMLElement} row
 * @param {Store<R>} store
 * @param {R} run
 */
export function discard(row, store, run) {
  claim(run);
  row.hidden = true;
  store.keep({ ...run, discarded: true }); // a page that is left has no time to forget the frames
  say(data(row, "deleted"), (undone) => {
    row.hidden = !undone;
    if (undone) {
      store.keep(run);
      one(row, "button").focus();
    } else {
      row.remove();
      store.forget(run.key);
    }
  });
}
