// What earlier visits left in this browser, each in a row of the list #open, to go on with or to throw away.
import { say } from "../toast.js";

const byId = (id) => document.getElementById(id);

/** Other windows see that this run goes on here, until the page is left. */
export function claim({ key }) {
  navigator.locks.request(key, () => new Promise(() => {}));
}

/** [run, frames kept of it] of each run that is no window's. One without sound, or thrown away, is forgotten. */
export async function leftBehind(store) {
  const { held } = await navigator.locks.query(), left = [];
  for (const run of await store.runs()) {
    if (held.some(({ name }) => name === run.key)) continue;
    const extent = run.discarded ? null : await store.extent(run.key);
    if (extent) left.push([run, extent.next - extent.first]);
    else await store.forget(run.key);
  }
  return left;
}

/** A row of its own for this run. */
export function addRow({ title, began }) {
  byId("open").append(byId("kept").content.cloneNode(true));
  const row = byId("open").lastElementChild;
  if (title) row.querySelector(".name").textContent = title;
  row.querySelector(".when").textContent = new Date(began).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  return row;
}

/** Throw the run away, unless the person takes it back within ten seconds. */
export function discard(row, store, run) {
  claim(run);
  row.hidden = true;
  store.keep({ ...run, discarded: true }); // a page that is left has no time for more
  say(row.dataset.deleted, (undone) => {
    row.hidden = !undone;
    if (undone) store.keep(run);
    else store.forget(run.key);
  });
}
