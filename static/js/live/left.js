// The rows of the library for sound that this browser keeps: takes, to save, download or throw away, and live sessions, which
// go on at their own page.
import { clock } from "../clock.js";
import { byId, data, one } from "../dom.js";
import { showRow } from "../events.js";
import { signIn } from "../requests.js";
import { Refusal, Sending } from "../sending.js";
import { addRow, claim, discard, leftBehind } from "./kept.js";
import { FRAME, Store } from "./store.js";
import { Take } from "./take.js";

/**
 * @import { LiveRun } from "./outbox.js"
 * @import { Run } from "./store.js"
 */

const list = byId("open"), unnamed = data(list, "unnamed");
let sending = 0;

/** @param {string} user */
export async function showTakes(user) {
  /** @type {Store<Run>} */
  const store = await Store.open(`stile-takes-${user}`);
  for (const [run, frames] of await leftBehind(store)) offer(store, new Take(store, run, frames));
}

/**
 * @param {Store<Run>} store
 * @param {Take} take
 */
function offer(store, take) {
  const row = addRow(take.run);
  one(row, ".length").textContent = clock(take.seconds);
  one(row, "[data-do=save]").onclick = () => save(store, take, row);
  one(row, "[data-do=download]").onclick = () => take.download(unnamed);
  one(row, "[data-do=discard]").onclick = () => discard(row, store, take.run);
}

/**
 * Upload a take. Where that fails, its row says why and offers the same as before.
 * @param {Store<Run>} store
 * @param {Take} take
 * @param {HTMLElement} row
 */
async function save(store, take, row) {
  const bar = one(row, "progress", HTMLProgressElement), note = one(row, ".when"), actions = one(row, ".actions");
  const show = (/** @type {boolean} */ under) => {
    bar.hidden = !under;
    actions.hidden = under;
    sending += under ? 1 : -1;
  };
  claim(take.run);
  show(true);
  note.textContent = data(list, "saving");
  const upload = new Sending(await take.file(), take.described(unnamed), {
    progress(percent) {
      note.textContent = data(list, "saving");
      if (percent < 100) bar.value = percent;
      else bar.removeAttribute("value");
    },
    waiting(why) {
      note.textContent = why || data(list, "offline");
    },
  });
  try {
    const outcome = await upload.done;
    await store.forget(take.run.key);
    row.remove();
    if (outcome?.recording) showRow(outcome.recording);
  } catch (error) {
    if (error instanceof Refusal && error.signedOut) signIn();
    note.textContent = (error instanceof Error && error.message) || data(list, "unsent");
    note.role = "alert";
  }
  show(false);
  if (row.isConnected) one(row, "[data-do=save]").focus();
}

/** @param {string} user */
export async function showLive(user) {
  /** @type {Store<LiveRun>} */
  const store = await Store.open(`stile-live-${user}`);
  for (const [run, frames] of await leftBehind(store)) {
    const row = addRow(run);
    one(row, ".length").textContent = clock(frames * FRAME);
    for (const button of row.querySelectorAll("[data-do=save], [data-do=download]")) button.remove();
    one(row, "[data-do=continue]").hidden = false;
    one(row, "[data-do=discard]").onclick = () => discard(row, store, run);
  }
}

addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });
