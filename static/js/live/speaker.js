// Who speaks: the microphone's sound goes to the session, its captions come back. See session.js for what is kept when.
import { clock, dated } from "../clock.js";
import { Captions } from "./captions.js";
import { Follower } from "./follower.js";
import { addRow, claim, discard, leftBehind } from "./kept.js";
import { available } from "./microphone.js";
import { fill, notice, noticed, noticeWords, showParts } from "./notices.js";
import { pausable, Panel } from "./panel.js";
import { choose, remember } from "./remember.js";
import { Session } from "./session.js";
import { FRAME, Store } from "./store.js";
import { keepAwake } from "./watching.js";

const OLD = 2_000; // ms after a (re)connection in which captions come that are no measure of the lag
// These are told by what happens next: by coming back, or by a notice of their own.
const UNSAID = ["open_elsewhere", "not_signed_in", "not_found", "restarting", "slow_client", "sequence_gap", "stopped"];
const byId = (id) => document.getElementById(id);
const live = byId("live"), language = byId("language"), isPublic = byId("public");
const panel = new Panel(onFrame);
const follower = new Follower(byId("captions"), byId("to-live"));
const captions = new Captions(byId("log"), byId("tentative"), line, () => {
  byId("awaited").hidden = true;
  follower.follow();
});

let phase = "idle"; // then "opening", "recording" and "paused" by turns, "finishing"; "over" when only a reload helps
let store = null, session = null, begunAt = 0;

// --- what is seen -----------------------------------------------------------------------------
function enter(next) {
  phase = next;
  panel.recording = phase === "recording";
  const active = ["recording", "paused", "finishing"].includes(phase);
  showParts([phase, ...(active ? ["active"] : []), ...(active && session.run.session ? ["begun"] : [])]);
}

function line({ start, text }) {
  const element = document.createElement("div"), stamp = document.createElement("time"), words = document.createElement("p");
  stamp.ariaHidden = "true";
  stamp.textContent = clock(start);
  words.textContent = text;
  element.append(stamp, words);
  return element;
}

function onFrame(frame) {
  session.add(frame);
  byId("clock").textContent = clock(recorded());
  if (noticed("line") === "reconnecting") notice("line", "reconnecting", unsent());
}

// --- a session ----------------------------------------------------------------------------------
const recorded = () => (session.next - (session.run.base ?? 0)) * FRAME;
const unsent = () => (session.next - session.acked) * FRAME;

const told = {
  state(name) {
    notice("line", name === "live" ? "" : name, name === "reconnecting" ? unsent() : undefined);
  },
  begun(run) {
    begunAt = Date.now();
    show(run);
    enter(phase);
  },
  acked() {
    notice("said", "");
  },
  caption(caption) {
    captions.show(caption);
    if (caption.state !== "final" || phase !== "recording" || Date.now() - begunAt < OLD) return;
    byId("lag").hidden = false;
    fill(byId("lag"), Math.max(0, recorded() - caption.end), 1);
  },
  status({ state, behind_seconds: seconds }) {
    notice("line", state === "live" ? "" : state, state === "live" ? undefined : seconds);
  },
  viewers(count) {
    byId("viewers").textContent = count;
  },
  error({ code, message }) {
    if (UNSAID.includes(code)) return;
    noticeWords("said", message);
  },
  split() {
    captions.restart();
    notice("session", "split");
  },
  done(recording) {
    enter("over");
    notice("line", "");
    if (recording !== null) location.assign(live.dataset.recording.replace("/0", `/${recording}`));
    else notice("session", "nothing");
  },
  failed(why) {
    panel.close();
    notice("line", "");
    if (!begunAt) store.forget(session.run.key); // it never was a session
    enter(why === "refused" && !begunAt ? "idle" : "over");
    notice("session", why);
  },
};

/** Where others watch. */
function show(run) {
  byId("title").textContent = run.title || document.title.split(" · ")[0];
  const at = (name) => new URL(live.dataset[name].replace("SESSION", run.session), location).href;
  if (byId("viewer").href === at("viewer")) return;
  byId("viewer").href = byId("link").textContent = at("viewer");
  byId("overlay").href = at("overlay");
  byId("qr").removeAttribute("src");
  byId("qr").closest("details").ontoggle = ({ newState }) => { if (newState === "open") byId("qr").src = at("qr"); };
  byId("loopback").hidden = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  if (isPublic.checked && !run.public) publish(); // it goes on as another session
}

/** Speak: a new session, or on in this run. */
async function speak(run) {
  if (phase !== "idle" || !(panel.isOpen || await panel.open()) || phase !== "idle") return;
  panel.resume();
  await join(run, "recording");
  byId("pause").focus();
}

/** Send what is kept of this run, and end its session. */
async function end(run) {
  if (phase !== "idle") return;
  await join(run, "finishing");
  notice("session", "finishing");
  session.stop();
}

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

const newRun = (fields) => ({ key: `live ${crypto.randomUUID()}`, session: null, base: null, began: Date.now(), ...fields });

byId("start").onsubmit = (event) => {
  event.preventDefault();
  remember("language", language.value);
  const title = byId("name").value.trim() || dated(live.dataset.unnamed, Date.now());
  speak(newRun({ title, language: language.value }));
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
for (const button of document.querySelectorAll("[data-reload]")) button.onclick = () => location.reload();

// --- who may watch --------------------------------------------------------------------------------
async function publish() {
  const wanted = isPublic.checked;
  const answer = await fetch(live.dataset.public.replace("SESSION", session.run.session), {
    method: "POST",
    headers: { "X-CSRFToken": live.dataset.csrf },
    body: new URLSearchParams({ public: wanted ? "on" : "off" }),
  }).catch(() => ({ ok: false }));
  if (!answer.ok) isPublic.checked = !wanted;
  notice("session", answer.ok ? "" : "unchanged");
  byId("private").hidden = isPublic.checked;
}

isPublic.onchange = publish;
byId("copy").onclick = async ({ currentTarget: button }) => {
  await navigator.clipboard.writeText(byId("link").textContent);
  const words = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = words; }, 2000);
};

// --- sessions that go on ----------------------------------------------------------------------------
/** A run of an earlier page: beside the session it belongs to, or in a row of its own. */
const rowOf = (run) => (run.session && document.querySelector(`[data-open="${run.session}"]`)) || addRow(run);

/** Let a row's buttons act on the run; `seconds` of its sound are kept here. */
function offer(row, run, seconds) {
  row.querySelector(".kept").hidden = !seconds;
  fill(row.querySelector(".kept"), seconds);
  const act = {
    continue: () => speak(run),
    end: () => end(run),
    discard: () => discard(row, store, run),
  };
  for (const button of row.querySelectorAll("[data-do]")) {
    button.onclick = () => {
      isPublic.checked = run.public = "public" in row.dataset;
      byId("private").hidden = isPublic.checked;
      act[button.dataset.do]();
    };
  }
}

// --- the page opens -----------------------------------------------------------------------------------
async function open() {
  if (!available()) {
    notice("microphone", "insecure");
    for (const button of document.querySelectorAll("[data-do]")) button.hidden = true;
    return;
  }
  live.hidden = false;
  enter("idle");
  choose(language);
  store = await Store.open(`stile-live-${live.dataset.user}`);
  for (const row of document.querySelectorAll("[data-open]")) {
    offer(row, newRun({ session: row.dataset.open, title: row.dataset.title, language: "auto" }), 0);
  }
  for (const [run, frames] of await leftBehind(store)) offer(rowOf(run), run, frames * FRAME);
  await panel.openIfAllowed();
}

open();
