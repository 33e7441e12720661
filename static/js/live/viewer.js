// Who watches: big text that follows what is said, unless somebody reads further up.
import { Captions } from "./captions.js";
import { Follower } from "./follower.js";
import { keepAwake, watch } from "./watching.js";

const SMALLEST = 1.5, LARGEST = 8, STEP = 1.2; // rem, rem, times
const IDLE = 4_000; // ms without a touch after which the controls give way to the text
const byId = (id) => document.getElementById(id);
const stage = byId("stage"), root = document.documentElement;
const follower = new Follower(stage, byId("to-live"));

// --- captions ---------------------------------------------------------------------------------
const captions = new Captions(byId("log"), byId("tentative"), ({ text }) => {
  const line = document.createElement("p");
  line.textContent = text;
  return line;
}, () => {
  byId("waiting").hidden = true;
  follower.follow();
});

function tell(name, seconds) {
  for (const notice of document.querySelectorAll("#notices [data-notice]")) notice.hidden = notice.dataset.notice !== name;
  if (seconds !== undefined) document.querySelector(`[data-notice=${name}] [data-seconds]`).textContent = Math.round(seconds);
}

const leave = watch(root.dataset.session, captions, {
  onState(open, code) {
    if (open) tell("");
    else tell(code === 4404 ? "gone" : "reconnecting");
  },
  onStatus({ state, behind_seconds: seconds }) {
    if (state === "live") tell("");
    else tell(state, seconds);
  },
  onDone(recording) {
    leave();
    byId("waiting").hidden = true;
    byId("tentative").replaceChildren();
    tell("ended");
    const link = byId("transcript");
    link.hidden = recording === null;
    link.href = link.dataset.url.replace("/0", `/${recording}`);
  },
});
keepAwake();

// --- how it looks -----------------------------------------------------------------------------
const look = { size: 0, lines: "all", contrast: "dark", ...remembered() }; // size 0: what fits the screen

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("live-look"));
  } catch {
    return {}; // no storage, or not ours
  }
}

function change(what) {
  Object.assign(look, what);
  apply();
  try {
    localStorage.setItem("live-look", JSON.stringify(look));
  } catch {
    // no storage: it holds for this visit
  }
}

function apply() {
  root.dataset.lines = look.lines;
  root.dataset.contrast = look.contrast;
  if (look.size) root.style.setProperty("--size", `${look.size}rem`);
  for (const button of document.querySelectorAll("[data-set]")) {
    button.ariaPressed = String(look[button.dataset.set] === button.value);
  }
  follower.follow();
}

function grow(factor) {
  const now = parseFloat(getComputedStyle(stage).fontSize) / parseFloat(getComputedStyle(root).fontSize);
  change({ size: Math.min(LARGEST, Math.max(SMALLEST, now * factor)) });
}

for (const button of document.querySelectorAll("[data-set]")) {
  button.onclick = () => change({ [button.dataset.set]: button.value });
}
byId("smaller").onclick = () => grow(1 / STEP);
byId("larger").onclick = () => grow(STEP);
byId("full").hidden = !document.fullscreenEnabled;
byId("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
apply();

// --- controls, there when they are wanted -------------------------------------------------------
let idle = 0;

function wake() {
  root.classList.remove("idle");
  clearTimeout(idle);
  idle = setTimeout(() => root.classList.add("idle"), IDLE);
}

for (const touch of ["pointermove", "pointerdown", "keydown", "focusin"]) addEventListener(touch, wake);
wake();
