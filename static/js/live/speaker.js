// The page “Live”: the microphone's sound goes to a session, and its captions come back.
import { clock, dated } from "../clock.js";
import { all, byId, data, one } from "../dom.js";
import { Captions } from "./captions.js";
import { Follower } from "./follower.js";
import { addRow, claim, discard, leftBehind } from "./kept.js";
import { available } from "./microphone.js";
import { fill, notice, noticeWords, showParts } from "./notices.js";
import { Outage } from "./outage.js";
import { pausable, Panel } from "./panel.js";
import { choose, recall, remember } from "./remember.js";
import { choice, recordOnly } from "./room.js";
import { Session } from "./session.js";
import { prepare, share, showPublic } from "./sharing.js";
import { FRAME, Store } from "./store.js";
import { keepAwake } from "./watching.js";

/**
 * @import { Caption } from "./protocol.js"
 * @import { LiveRun } from "./outbox.js"
 * @import { Told } from "./session.js"
 * @typedef {"idle" | "opening" | "recording" | "paused" | "finishing" | "over"} Phase over: only a reload helps
 */

// Errors that the page does not say: it reconnects after them, or has a notice of its own.
const UNSAID = ["open_elsewhere", "not_signed_in", "not_found", "restarting", "slow_client", "sequence_gap", "stopped"];
const live = byId("live"), spoken = byId("language", HTMLSelectElement), terms = byId("terms", HTMLTextAreaElement);
const panel = new Panel(onFrame);
const outage = new Outage(["catching_up", "waiting", "reconnecting"]);
const follower = new Follower(byId("captions"), byId("to-live"));
const captions = new Captions(byId("log"), byId("tentative"), line, () => {
  byId("awaited").hidden = true;
  follower.follow();
});

/** @type {Phase} */
let phase = "idle";
/** @type {Store<LiveRun>} */
let store;
/** @type {Session} */
let session;
/** Id of the session that is prepared: its link is made, and it begins next. @type {string | null} */
let prepared = null;
let begun = false; // whether the server has been ready yet

// --- what is seen -----------------------------------------------------------------------------
/** @param {Phase} next */
function enter(next) {
  phase = next;
  panel.recording = phase === "recording";
  panel.paused = phase === "paused";
  const active = ["recording", "paused", "finishing"].includes(phase);
  const linked = active ? session.run.session : prepared;
  showParts([phase, ...(active ? ["active"] : []), ...(linked ? ["linked"] : phase === "idle" ? ["unlinked"] : [])]);
}

/** @param {Caption} caption */
function line({ start, text }) {
  const element = document.createElement("div"), stamp = document.createElement("time"), words = document.createElement("p");
  stamp.ariaHidden = "true";
  stamp.textContent = clock(start);
  words.textContent = text;
  element.append(stamp, words);
  return element;
}

/** @param {ArrayBuffer} frame */
function onFrame(frame) {
  session.add(frame);
  byId("clock").textContent = clock(recorded());
  if (outage.is("reconnecting")) outage.set("line", "reconnecting", unsent());
}

// --- a session ----------------------------------------------------------------------------------
const recorded = () => session.recorded * FRAME; // seconds
const unsent = () => session.unsent * FRAME; // seconds

/** @type {Told} */
const told = {
  state(name) {
    notice("line", begun || name === "live" ? "" : "connecting");
    if (begun) outage.set("line", name === "live" ? "" : name, unsent());
  },
  begun(run) {
    begun = true;
    byId("title").textContent = run.title || document.title.split(" · ")[0];
    share(run);
    enter(phase);
  },
  acked() {
    notice("said", "");
  },
  caption(caption) {
    captions.show(caption);
  },
  status({ state, behind_seconds: seconds }) {
    outage.set("captions", state === "live" ? "" : state, seconds);
  },
  viewers(count) {
    byId("viewers").textContent = String(count);
  },
  error({ code, message }) {
    if (!UNSAID.includes(code)) noticeWords("said", message);
  },
  split() {
    captions.restart();
    notice("session", "split");
  },
  done(recording) {
    enter("over");
    notice("line", "");
    outage.forget();
    if (recording === null) notice("session", "nothing");
    else location.assign(data(live, "recording").replace("/0", `/${recording}`));
  },
  failed(why) {
    panel.close();
    notice("line", "");
    outage.forget();
    if (!begun) store.forget(session.run.key); // it never was a session
    enter(why === "refused" && !begun ? "idle" : "over");
    notice("session", why);
  },
};

/** Speak in the run's session, a new one or one that goes on. @param {LiveRun} run */
async function speak(run) {
  if (phase !== "idle" || !(panel.isOpen || await panel.open()) || phase !== "idle") return;
  panel.resume();
  await join(run, "recording");
  byId("pause").focus();
}

/** Send the frames that are kept of this run, and end its session. @param {LiveRun} run */
async function end(run) {
  if (phase !== "idle") return;
  await join(run, "finishing");
  notice("session", "finishing");
  session.stop();
}

/**
 * @param {LiveRun} run
 * @param {Phase} next
 */
async function join(run, next) {
  session = new Session(store, run, told);
  claim(run);
  notice("session", "");
  notice("line", "connecting");
  enter("opening");
  keepAwake();
  await session.open();
  enter(next);
}

/**
 * @param {{ session?: string, title: string, language: string, prompt?: string }} fields
 * @returns {LiveRun}
 */
const newRun = (fields) => ({ key: `live ${crypto.randomUUID()}`, session: null, base: null, began: Date.now(), ...fields });

byId("start").onsubmit = async (event) => {
  event.preventDefault();
  remember("language", spoken.value);
  remember("terms", terms.value.trim());
  const named = byId("name", HTMLInputElement).value.trim();
  const fields = { title: named, language: spoken.value, prompt: terms.value.trim() };
  const chosen = phase === "idle" ? await choice() : "";
  if (chosen === "record") recordOnly(fields);
  if (chosen !== "wait") return;
  const run = newRun({ ...fields, title: named || dated(data(live, "unnamed"), Date.now()) });
  speak(prepared ? { ...run, session: prepared, public: byId("public", HTMLInputElement).checked } : run);
};
byId("prepare").onclick = async () => {
  prepared = await prepare();
  if (phase !== "idle" || !prepared) return;
  enter("idle");
  byId("public").focus();
};
pausable((next) => {
  if (next === "paused") session.pause();
  enter(next);
});
byId("stop").onclick = () => {
  panel.close();
  enter("finishing");
  notice("session", "finishing");
  session.stop();
};
addEventListener("beforeunload", (event) => {
  if (["recording", "paused", "finishing"].includes(phase)) event.preventDefault();
});
for (const button of all(document, "[data-reload]")) button.onclick = () => location.reload();

// --- sessions that go on ----------------------------------------------------------------------------
/** The row of the run's session, which the server has listed, or else a row of its own. @param {LiveRun} run */
const rowOf = (run) => all(document, "[data-open]").find((row) => row.dataset.open === run.session) ?? addRow(run);

/**
 * Let a row's buttons act on the run.
 * @param {HTMLElement} row
 * @param {LiveRun} run
 * @param {number} seconds of its sound that are kept in this browser
 */
function offer(row, run, seconds) {
  one(row, ".kept").hidden = !seconds;
  fill(one(row, ".kept"), seconds);
  /** @type {Record<string, () => void>} */
  const actions = { continue: () => speak(run), end: () => end(run), discard: () => discard(row, store, run) };
  for (const button of all(row, "[data-do]")) {
    button.onclick = () => { // in place of an earlier offer of the same row
      run.public = "public" in row.dataset;
      showPublic(run.public);
      actions[data(button, "do")]();
    };
  }
}

// --- the page opens -----------------------------------------------------------------------------------
async function open() {
  if (!available()) {
    notice("microphone", "insecure");
    for (const button of all(document, "[data-do]")) button.hidden = true;
    return;
  }
  live.hidden = false;
  prepared = live.dataset.prepared ?? null;
  if (prepared) {
    showPublic("preparedPublic" in live.dataset);
    share({ session: prepared, public: "preparedPublic" in live.dataset });
  }
  enter("idle");
  choose(spoken);
  terms.value = recall("terms");
  store = await Store.open(`stile-live-${data(live, "user")}`);
  for (const row of all(document, "[data-open]")) {
    offer(row, newRun({ session: data(row, "open"), title: data(row, "title"), language: "auto" }), 0);
  }
  for (const [run, frames] of await leftBehind(store)) offer(rowOf(run), run, frames * FRAME);
  await panel.openIfAllowed();
}

open();
