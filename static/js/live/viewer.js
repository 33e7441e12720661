// A viewer's page: big text that follows the speaker, unless the person reads further up.
import { all, byId, data } from "../dom.js";
import { Captions } from "./captions.js";
import { Follower } from "./follower.js";
import { Outage } from "./outage.js";
import { keepAwake, watch } from "./watching.js";

const SMALLEST = 1.5, LARGEST = 8; // rem
const STEP = 1.2; // times
const IDLE = 4_000; // ms without a touch, after which the controls give way to the text
const GONE = 4404; // close code
const stage = byId("stage"), root = document.documentElement, waiting = byId("waiting");
const follower = new Follower(stage, byId("to-live"));
const outage = new Outage(["catching_up", "waiting", "away", "reconnecting"]);

// --- captions ---------------------------------------------------------------------------------
const captions = new Captions(byId("log"), byId("tentative"), ({ text }) => {
  const line = document.createElement("p");
  line.textContent = text;
  return line;
}, () => {
  waiting.hidden = true;
  follower.follow();
});

/** Show this notice and no other. @param {string} name "" for none */
function notice(name) {
  for (const element of all(document, "#notices [data-notice]")) element.hidden = element.dataset.notice !== name;
}

const connection = watch(data(root, "session"), captions, {
  onState(open, code) {
    if (code === GONE) outage.forget();
    else outage.set("line", open ? "" : "reconnecting");
    outage.set("speaker", ""); // a new connection tells of it again
    notice(code === GONE ? "gone" : "");
  },
  onStatus({ state, behind_seconds: seconds }) {
    outage.set("captions", state === "live" ? "" : state, seconds);
  },
  onSpeaker({ state }) {
    outage.set("speaker", state === "away" ? "away" : "");
    notice(state === "paused" ? "paused" : "");
  },
  onDone(recording) {
    connection.end();
    waiting.hidden = true;
    captions.clear();
    outage.forget();
    notice("ended");
    const link = byId("transcript", HTMLAnchorElement);
    link.hidden = recording === null;
    byId("kept").hidden = recording !== null || captions.next === null; // for people who are not the owner
    link.href = data(link, "url").replace("/0", `/${recording}`);
  },
});
keepAwake();

// --- how it looks -----------------------------------------------------------------------------
/** @typedef {{ size: number, lines: string, contrast: string }} Look size in rem; 0 for what fits the screen */

/** @type {Look} */
const look = { size: 0, lines: "all", contrast: "dark", ...remembered() };

/** @returns {Partial<Look> | null} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem("live-look") ?? "null");
  } catch {
    return null; // no storage, or another program's value
  }
}

/** @param {Partial<Look>} part */
function change(part) {
  Object.assign(look, part);
  apply();
  try {
    localStorage.setItem("live-look", JSON.stringify(look));
  } catch {
    // no storage: the look lasts for this visit
  }
}

const buttons = all(document, "[data-set]").filter((element) => element instanceof HTMLButtonElement);

function apply() {
  root.dataset.lines = look.lines;
  root.dataset.contrast = look.contrast;
  if (look.size) root.style.setProperty("--size", `${look.size}rem`);
  for (const button of buttons) {
    button.ariaPressed = String(look[/** @type {"lines" | "contrast"} */ (button.dataset.set)] === button.value);
  }
  follower.follow();
}

/** @param {number} factor */
function grow(factor) {
  const now = parseFloat(getComputedStyle(stage).fontSize) / parseFloat(getComputedStyle(root).fontSize);
  change({ size: Math.min(LARGEST, Math.max(SMALLEST, now * factor)) });
}

for (const button of buttons) button.onclick = () => change({ [data(button, "set")]: button.value });
byId("smaller").onclick = () => grow(1 / STEP);
byId("larger").onclick = () => grow(STEP);
byId("full").hidden = !document.fullscreenEnabled;
byId("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
apply();

// --- controls give way ------------------------------------------------------------------------
let idle = 0;

function wake() {
  root.classList.remove("idle");
  clearTimeout(idle);
  idle = setTimeout(() => root.classList.add("idle"), IDLE);
}

for (const touch of ["pointermove", "pointerdown", "keydown", "focusin"]) addEventListener(touch, wake);
wake();
