// The page “Record”: sound from the microphone becomes a recording. While it is made, this browser keeps it and needs no
// network; in the end it is uploaded as files are. A page that is closed, or crashes, leaves it to the next visit.
import { clock, dated } from "../clock.js";
import { byId, data, one } from "../dom.js";
import { Sending } from "../sending.js";
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
  const sending = new Sending(await take.file(), described(take.run), {
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
    keepForLater(message ? "said" : "unsent");
  }
}

/** What the server is told. A take that is uploaded twice becomes one recording. @param {Run} run */
function described(run) {
  const { language, prompt = "" } = run;
  return { filename: "recording.wav", title: nameOf(run), language, prompt, source: "browser", duplicate: "reuse" };
}

const nameOf = (/** @type {Run} */ { title, began }) => title || dated(data(page, "unnamed"), began);

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
  offer(take).focus();
}

byId("start").onsubmit = (event) => {
  event.preventDefault();
  remember("language", spoken.value);
  remember("terms", terms.value.trim());
  start();
};
pausable(enter);
byId("stop").onclick = () => {
  if (take.frames) {
    save(take);
  } else {
    panel.close();
    store.forget(take.run.key);
    enter("idle");
    notice("take", "nothing");
  }
};
addEventListener("beforeunload", (event) => {
  if (["recording", "paused", "saving"].includes(phase)) event.preventDefault();
});

// --- takes that are not saved -------------------------------------------------------------------
/** Give a take a row. Returns the button that saves it. @param {Take} kept */
function offer(kept) {
  const row = addRow(kept.run), button = (/** @type {string} */ name) => one(row, `[data-do=${name}]`);
  one(row, ".length").textContent = clock(kept.seconds);
  button("save").onclick = () => {
    if (phase !== "idle") return;
    row.remove();
    claim(kept.run);
    save(kept);
  };
  button("download").onclick = () => download(kept);
  button("discard").onclick = () => discard(row, store, kept.run);
  return button("save");
}

/** @param {Take} kept */
async function download(kept) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await kept.file());
  link.download = `${nameOf(kept.run)}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the download has begun by then
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
