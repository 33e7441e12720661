// A recording from the microphone: this browser keeps it while it is made, then it is sent as files are. Until then
// nothing depends on the network, and a page that is closed or dies leaves it to the next one.
import { clock, dated } from "../clock.js";
import { Sending } from "../sending.js";
import { addRow, claim, discard, leftBehind } from "./kept.js";
import { available } from "./microphone.js";
import { notice, noticeWords, showParts } from "./notices.js";
import { pausable, Panel } from "./panel.js";
import { choose, remember } from "./remember.js";
import { Store } from "./store.js";
import { Take } from "./take.js";
import { keepAwake } from "./watching.js";

const byId = (id) => document.getElementById(id);
const page = byId("record"), language = byId("language"), sent = byId("sent");
const panel = new Panel(onFrame);

let phase = "idle"; // then "recording" and "paused" by turns, "saving"; "over" while the page is left
let store = null, take = null;

function enter(next) {
  phase = next;
  panel.recording = phase === "recording";
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
  const title = byId("name").value.trim();
  take = new Take(store, { key: `take ${crypto.randomUUID()}`, title, language: language.value, began: Date.now() });
  claim(take.run);
  store.keep(take.run);
  notice("take", "");
  showLength();
  enter("recording");
  byId("pause").focus();
}

async function onFrame(frame) {
  const kept = take.add(frame);
  showLength();
  if (take.seconds >= Number(page.dataset.longest)) save(take, "longest");
  if (!(await kept)) notice("store", "unkept");
}

/** Send it to the library. `why`: the notice of it. */
async function save(what, why = "saving") {
  take = what;
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
  byId("later").onclick = () => sending.cancel(false);
  byId("later").focus();
  try {
    const end = await sending.done;
    if (end) await leave(end.recording);
    else keepForLater("");
  } catch ({ message }) {
    if (message) noticeWords("take", message);
    keepForLater(message ? "said" : "unsent");
  }
}

/** What the server is told of it. Sent twice, it becomes one recording. */
function described({ language, ...run }) {
  return { filename: "recording.wav", title: nameOf(run), language, source: "browser", duplicate: "reuse" };
}

const nameOf = ({ title, began }) => title || dated(page.dataset.unnamed, began);

async function leave(recording) {
  await store.forget(take.run.key);
  enter("over");
  location.assign(page.dataset.recording.replace("/0", `/${recording}`));
}

function keepForLater(why) {
  enter("idle");
  notice("take", why);
  offer(take).focus();
}

byId("start").onsubmit = (event) => {
  event.preventDefault();
  remember("language", language.value);
  start();
};
pausable(enter);
byId("stop").onclick = () => {
  if (take.frames) return save(take);
  panel.close();
  store.forget(take.run.key);
  enter("idle");
  notice("take", "nothing");
};
addEventListener("beforeunload", (event) => {
  if (["recording", "paused", "saving"].includes(phase)) event.preventDefault();
});

// --- takes that are not saved -------------------------------------------------------------------
/** A row for it; returns the button that saves it. */
function offer(kept) {
  const row = addRow(kept.run), button = (name) => row.querySelector(`[data-do=${name}]`);
  row.querySelector(".length").textContent = clock(kept.seconds);
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

async function download(kept) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await kept.file());
  link.download = `${nameOf(kept.run)}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // by then it has begun
}

// --- the page opens -----------------------------------------------------------------------------
async function open() {
  if (!available()) return notice("microphone", "insecure");
  page.hidden = false;
  enter("idle");
  choose(language);
  store = await Store.open(`stile-takes-${page.dataset.user}`);
  for (const [run, frames] of await leftBehind(store)) offer(new Take(store, run, frames));
  await panel.openIfAllowed();
}

open();
