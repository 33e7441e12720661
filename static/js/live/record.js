// The page “Record”: sound from the microphone becomes a recording. While it is made, this browser keeps it and needs no
// network; in the end it is uploaded as files are. A page that is closed, or crashes, leaves it to the next visit.
import { clock } from "../clock.js";
import { byId, data, one } from "../dom.js";
import { Refusal, Sending } from "../sending.js";
import { addRow, claim, discard, leftBehind } from "./kept.js";
import { available } from "./microphone.js";
import { notice, noticeWords, showParts } from "./notices.js";
import { pausable, Panel } from "./panel.js";
import { choose, recall, remember } from "./remember.js";
import { carried } from "./room.js";
import { Store } from "./store.js";
import { Take } from "./take.js";
import { keepAwake } from "./watching.js";

/** @import { Run } from "./store.js" */
/** @typedef {"idle" | "recording" | "paused" | "saving" | "over"} Phase over: the page is being left */

const page = byId("record"), spoken = byId("language", HTMLSelectElement), terms = byId("terms", HTMLTextAreaElement);
const sent = byId("sent", HTMLProgressElement);
const panel = new Panel(onFrame);
/** @type {Phase} */
let phase = "idle";
/** @type {Store<Run>} */
let store;
/** @type {Take} the take that is recorded or saved */
let take;

/** @param {Phase} next */
function enter(next) {
  phase = next;
  panel.recording = phase === "recording";
  panel.paused = phase === "paused";
  showParts(phase === "idle" ? ["idle"] : [phase, "active"]);
}

function showLength() {
  byId("clock").textContent = clock(take.seconds);
}

// --- a take -------------------------------------------------------------------------------------
async function start() {
  if (phase !== "idle" || !(panel.isOpen || await panel.open()) || phase !== "idle") return;
  panel.resume();
  keepAwake();
  const title = byId("name", HTMLInputElement).value.trim();
  const asked = { title, language: spoken.value, prompt: terms.value.trim() };
  take = new Take(store, { key: `take ${crypto.randomUUID()}`, began: Date.now(), ...asked });
  claim(take.run);
  store.keep(take.run);
  notice("take", "");
  showLength();
  enter("recording");
  byId("pause").focus();
}

/** @param {ArrayBuffer} frame */
async function onFrame(frame) {
  const kept = take.add(frame);
  showLength();
  if (take.seconds >= Number(data(page, "longest"))) save(take, "longest");
  if (!(await kept)) notice("store", "unkept");
}

/**
 * Upload a take.
 * @param {Take} saved
 * @param {string} why the notice that is shown meanwhile
 */
async function save(saved, why = "saving") {
  take = saved;
  panel.close();
  enter("saving");
  showLength();
  notice("take", why);
  sent.removeAttribute("value");
  const sending = new Sending(await take.file(), take.described(data(page, "unnamed")), {
    progress(percent) {
      notice("take", why);
      if (percent < 100) sent.value = percent;
      else sent.removeAttribute("value");
    },
    waiting(words) {
      if (words) noticeWords("take", words);
      else notice("take", "offline");
    },
  });
  const later = byId("later");
  later.onclick = () => sending.cancel(false);
  later.focus();
  try {
    const outcome = await sending.done;
    if (outcome?.recording) await leave(outcome.recording);
    else keepForLater("");
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    if (message) noticeWords("take", message);
    if (error instanceof Refusal && error.signedOut) keepForLater("signed_out");
    else keepForLater(message ? "said" : "unsent");
  }
}

/** @param {number} recording */
async function leave(recording) {
  await store.forget(take.run.key);
  enter("over");
  location.assign(data(page, "recording").replace("/0", `/${recording}`));
}

/** @param {string} why notice */
function keepForLater(why) {
  enter("idle");
  notice("take", why);
  one(offer(take), "[data-do=save]").focus();
}

byId("start").onsubmit = (event) => {
  event.preventDefault();
  remember("language", spoken.value);
  remember("terms", terms.value.trim());
  start();
};
pausable(enter);
byId("stop").onclick = () => {
  if (take.frames) save(take);
  else forgetEmpty();
};
byId("discard").onclick = () => {
  if (!take.frames) return forgetEmpty();
  panel.close();
  enter("idle");
  notice("take", "");
  discard(offer(take), store, take.run);
};

/** End a take that has no sound. */
function forgetEmpty() {
  panel.close();
  store.forget(take.run.key);
  enter("idle");
  notice("take", "nothing");
}

addEventListener("beforeunload", (event) => {
  if (["recording", "paused", "saving"].includes(phase)) event.preventDefault();
});

// --- takes that are not saved -------------------------------------------------------------------
/** Give a take a row, and return the row. @param {Take} kept */
function offer(kept) {
  const row = addRow(kept.run), button = (/** @type {string} */ name) => one(row, `[data-do=${name}]`);
  one(row, ".length").textContent = clock(kept.seconds);
  button("save").onclick = () => {
    if (phase !== "idle") return;
    row.remove();
    claim(kept.run);
    save(kept);
  };
  button("download").onclick = () => kept.download(data(page, "unnamed"));
  button("discard").onclick = () => discard(row, store, kept.run);
  return row;
}

// --- the page opens -----------------------------------------------------------------------------
async function open() {
  if (!available()) {
    notice("microphone", "insecure");
    return;
  }
  page.hidden = false;
  enter("idle");
  choose(spoken);
  terms.value = recall("terms");
  store = await Store.open(`stile-takes-${data(page, "user")}`);
  for (const [run, frames] of await leftBehind(store)) offer(new Take(store, run, frames));
  const fields = carried();
  if (fields) {
    byId("name", HTMLInputElement).value = fields.title;
    terms.value = fields.prompt;
    choose(spoken, fields.language);
    await start();
  } else {
    await panel.openIfAllowed();
  }
}

open();
