// Who speaks: the microphone's sound goes to the session, its captions come back. See session.js for what is kept when.
import { Captions } from "./captions.js";
import { Follower } from "./follower.js";
import { available, devices, Microphone } from "./microphone.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { say } from "../toast.js";
import { keepAwake } from "./watching.js";

const FRAME = 0.1; // seconds
const HEARD = -45, QUIET = -65; // dB: a voice near a microphone is louder than the one, any room than the other
const HEARD_FOR = 1_500, SILENT_AFTER = 10_000; // ms
const OLD = 2_000; // ms after a (re)connection in which captions come that are no measure of the lag
// These are told by what happens next: by coming back, or by a notice of their own.
const UNSAID = ["open_elsewhere", "not_signed_in", "not_found", "restarting", "slow_client", "sequence_gap", "stopped"];
const byId = (id) => document.getElementById(id);
const live = byId("live"), device = byId("device"), language = byId("language"), isPublic = byId("public");
const follower = new Follower(byId("captions"), byId("to-live"));
const captions = new Captions(byId("log"), byId("tentative"), line, () => {
  byId("awaited").hidden = true;
  follower.follow();
});

let phase = "idle"; // then "opening", "recording" and "paused" by turns, "finishing"; "over" when only a reload helps
let store = null, session = null, begunAt = 0, heardAt = 0;

// --- what is seen -----------------------------------------------------------------------------
const notices = {}; // one at a time for the microphone, the line, the session and the server's own words

function notice(about, name, seconds) {
  notices[about] = name;
  for (const element of document.querySelectorAll("[data-notice]")) {
    element.hidden = !Object.values(notices).includes(element.dataset.notice);
  }
  if (seconds !== undefined) fill(document.querySelector(`[data-notice=${name}]`), seconds);
}

function fill(element, seconds, digits = 0) {
  element.querySelector("[data-seconds]").textContent = seconds.toFixed(digits);
}

function enter(next) {
  phase = next;
  const now = [phase];
  if (["recording", "paused", "finishing"].includes(phase)) now.push("active", ...(session.run.session ? ["begun"] : []));
  for (const element of document.querySelectorAll("[data-when]")) {
    element.hidden = !element.dataset.when.split(" ").some((when) => now.includes(when));
  }
}

function line({ start, text }) {
  const element = document.createElement("div"), stamp = document.createElement("time"), words = document.createElement("p");
  stamp.ariaHidden = "true";
  stamp.textContent = clock(start);
  words.textContent = text;
  element.append(stamp, words);
  return element;
}

function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60, rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// --- the microphone -----------------------------------------------------------------------------
const microphone = new Microphone(live.dataset.worklet, onFrame, () => notice("microphone", "lost"));

function onFrame(frame, loudness) {
  meter(loudness);
  if (phase !== "recording") return;
  session.add(frame);
  byId("clock").textContent = clock(recorded());
  if (notices.line === "reconnecting") notice("line", "reconnecting", unsent());
  if (Date.now() - heardAt > SILENT_AFTER) notice("microphone", "silent");
}

function meter(loudness) {
  const level = Math.max(0, Math.min(1, (loudness + 70) / 60));
  byId("level").style.setProperty("--level", level.toFixed(2));
  byId("level").ariaValueNow = Math.round(level * 100);
  const now = Date.now();
  if (loudness > (phase === "recording" ? QUIET : HEARD)) {
    heardAt = now;
    if (notices.microphone === "silent") notice("microphone", "");
  }
  heard(now - heardAt < HEARD_FOR ? "yes" : "no");
}

function heard(answer) {
  for (const words of document.querySelectorAll("[data-heard]")) words.hidden = words.dataset.heard !== answer || phase !== "idle";
}

async function openMicrophone() {
  heardAt = 0;
  const fault = await microphone.start(device.value);
  notice("microphone", fault);
  byId("test").disabled = microphone.open;
  if (microphone.open) await listDevices();
  return microphone.open;
}

async function listDevices() {
  const chosen = device.value || recall("device");
  const [system] = device.options;
  const found = (await devices()).filter(({ label }) => label);
  device.replaceChildren(system, ...found.map(({ deviceId, label }) => new Option(label, deviceId)));
  if (found.some(({ deviceId }) => deviceId === chosen)) device.value = chosen;
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
  error({ code, message }) {
    if (UNSAID.includes(code)) return;
    document.querySelector("[data-notice=said]").textContent = message;
    notice("said", "said");
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
    microphone.stop();
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
  if (phase !== "idle" || !(microphone.open || await openMicrophone()) || phase !== "idle") return;
  microphone.resume();
  heardAt = Date.now();
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
  navigator.locks.request(run.key, () => new Promise(() => {})); // other windows see that it goes on here
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
  speak(newRun({ title: byId("name").value.trim(), language: language.value }));
};
byId("test").onclick = openMicrophone;
device.onchange = () => {
  remember("device", device.value);
  if (microphone.open || phase === "recording") openMicrophone();
};
navigator.mediaDevices?.addEventListener("devicechange", () => microphone.open && listDevices());
byId("pause").onclick = () => {
  session.pause();
  enter("paused");
  byId("resume").focus();
};
byId("resume").onclick = () => {
  enter("recording");
  heardAt = Date.now();
  byId("pause").focus();
};
byId("stop").onclick = () => {
  microphone.stop();
  meter(-100);
  enter("finishing");
  notice("microphone", "");
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
/** What is kept of earlier pages: beside the session it belongs to, or in a row of its own. */
async function listKept() {
  const { held } = await navigator.locks.query();
  for (const run of await store.runs()) {
    if (held.some(({ name }) => name === run.key)) continue; // another window's
    const extent = await store.extent(run.key);
    if (extent) offer(rowOf(run), run, (extent.next - extent.first) * FRAME);
    else await store.forget(run.key);
  }
}

function rowOf(run) {
  const row = run.session && document.querySelector(`[data-open="${run.session}"]`);
  if (row) return row;
  byId("open").append(byId("kept").content.cloneNode(true));
  byId("open-title").hidden = false;
  const own = byId("open").lastElementChild;
  if (run.title) own.querySelector(".name").textContent = run.title;
  own.querySelector(".when").textContent = new Date(run.began).toLocaleString(document.documentElement.lang);
  return own;
}

/** Let a row's buttons act on the run; `seconds` of its sound are kept here. */
function offer(row, run, seconds) {
  row.querySelector(".kept").hidden = !seconds;
  fill(row.querySelector(".kept"), seconds);
  const act = {
    continue: () => speak(run),
    end: () => end(run),
    discard: () => {
      row.hidden = true;
      say(row.dataset.deleted, (undone) => {
        row.hidden = !undone;
        if (!undone) store.forget(run.key);
      });
    },
  };
  for (const button of row.querySelectorAll("[data-do]")) {
    button.onclick = () => {
      isPublic.checked = run.public = "public" in row.dataset;
      byId("private").hidden = isPublic.checked;
      act[button.dataset.do]();
    };
  }
}

// --- what this browser remembers ----------------------------------------------------------------------
function recall(name) {
  try {
    return localStorage.getItem(`live-${name}`) ?? "";
  } catch {
    return "";
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`live-${name}`, value);
  } catch {
    // no storage: it is asked again
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
  if ([...language.options].some(({ value }) => value === recall("language"))) language.value = recall("language");
  store = await Store.open(`stile-live-${live.dataset.user}`);
  for (const row of document.querySelectorAll("[data-open]")) {
    offer(row, newRun({ session: row.dataset.open, title: row.dataset.title, language: "auto" }), 0);
  }
  await listKept();
  const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
  if (permission?.state === "granted") await openMicrophone();
}

open();
