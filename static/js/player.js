// Listening and reading together: the line being spoken is marked, and a click on the text goes there.
import WaveSurfer from "../vendor/wavesurfer.js/dist/wavesurfer.esm.js";
import { caretAt } from "./caret.js";
import { clock } from "./clock.js";
import { begin } from "./edit.js";
import * as find from "./find.js";
import { bringIntoView, keepInView } from "./landing.js";

const byId = (id) => document.getElementById(id);
const player = byId("player"), audio = byId("audio"), seek = byId("seek"), play = byId("play");
const speed = byId("speed"), follow = byId("follow"), jump = byId("jump"), shortcuts = byId("shortcuts");
const duration = Number(player.dataset.duration);
const wordMark = globalThis.Highlight ? new Highlight() : null;
if (wordMark) CSS.highlights.set("word", wordMark);

// --- the text ---------------------------------------------------------------------------------
let lines = []; // [{ element, start, words: [[offset, start, end], …] }, …] in order of time
let current = null;

function readLines() {
  lines = Array.from(document.querySelectorAll("#text .line"), (element) => ({
    element,
    start: Number(element.dataset.start),
    words: JSON.parse(element.dataset.words),
  }));
  current?.element.closest(".segment")?.classList.remove("current");
  current = null;
  mark();
}

/** The last item that has begun at `time`, by bisection: a day of speech has ten thousand lines. */
function lastBegun(items, time, startOf) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(items[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return items[low - 1] ?? null;
}

function mark() {
  const time = audio.currentTime + 0.02; // a seek to a word's start may land just before it
  const touched = time > 0.02 || !audio.paused;
  const line = touched ? lastBegun(lines, time, (item) => item.start) : null;
  if (line !== current) {
    current?.element.removeAttribute("aria-current");
    current?.element.closest(".segment")?.classList.remove("current"); // while it is edited, a segment has no lines
    line?.element.setAttribute("aria-current", "true");
    line?.element.closest(".segment")?.classList.add("current");
    current = line;
    if (line && follow.checked && !audio.paused) show();
  }
  markWord(line, time);
}

function markWord(line, time) {
  wordMark?.clear();
  const word = line && lastBegun(line.words, time, (item) => item[1]);
  if (!wordMark || !word || time > word[2]) return;
  const text = line.element.firstChild;
  const following = line.words[line.words.indexOf(word) + 1]?.[0] ?? text.length;
  const range = new Range();
  range.setStart(text, word[0]);
  range.setEnd(text, word[0] + text.data.slice(word[0], following).trimEnd().length);
  wordMark.add(range);
}

function show() {
  jump.hidden = true;
  if (current) keepInView(current.element);
}

function goTo(time) {
  audio.currentTime = Math.min(Math.max(time, 0), duration);
}

byId("main").addEventListener("click", (event) => {
  const line = event.target.closest(".line"), stamp = event.target.closest(".stamp");
  if (stamp) goTo(Number(stamp.dataset.start));
  if (!line || !getSelection().isCollapsed) return; // selecting text is not a click on it
  const words = JSON.parse(line.dataset.words);
  const caret = caretAt(event);
  const word = caret?.node.parentElement === line && lastBegun(words, caret.offset, (item) => item[0]);
  goTo(word ? word[1] : Number(line.dataset.start));
});

// Following stops as soon as somebody scrolls by hand; a button brings it back.
for (const gesture of ["wheel", "touchmove"]) {
  addEventListener(gesture, () => {
    if (current && !audio.paused) follow.checked = jump.hidden = false;
  }, { passive: true });
}
follow.addEventListener("change", () => (follow.checked ? show() : (jump.hidden = true)));
jump.addEventListener("click", () => { follow.checked = true; show(); });

// --- the player -------------------------------------------------------------------------------
function showTime() {
  const time = audio.currentTime;
  if (document.activeElement !== seek || !seek.matches(":active")) seek.value = time;
  seek.setAttribute("aria-valuetext", clock(time));
  byId("time").textContent = clock(time);
  mark();
}

const playLabel = play.getAttribute("aria-label");
function showPlaying() {
  player.classList.toggle("playing", !audio.paused);
  play.setAttribute("aria-label", audio.paused ? playLabel : play.dataset.pause);
  if (!audio.paused) requestAnimationFrame(tick);
}

function tick() { // `timeupdate` comes four times a second: too coarse for words
  showTime();
  if (!audio.paused) requestAnimationFrame(tick);
}

const toggle = () => (audio.paused ? audio.play().catch(() => {}) : audio.pause()); // `error` tells why

function setSpeed(step) {
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + step, 0), speed.length - 1);
  audio.defaultPlaybackRate = audio.playbackRate = Number(speed.value);
  localStorage.setItem("speed", speed.value);
}

/** Once: the first transcription that ends brings the peaks. */
function drawWave() {
  const peaks = JSON.parse(byId("peaks").textContent), holder = byId("wave").parentElement;
  if (!peaks?.length || holder.matches(".drawn")) return;
  const colours = () => {
    const style = getComputedStyle(player);
    return { waveColor: style.getPropertyValue("--wave"), progressColor: style.getPropertyValue("--wave-played") };
  };
  const wave = WaveSurfer.create({
    ...colours(),
    container: "#wave",
    media: audio,
    peaks: [peaks],
    duration,
    cspNonce: player.dataset.nonce,
    height: 48,
    barWidth: 2,
    barGap: 2,
    normalize: true,
    cursorWidth: 0,
    interact: false, // the range input over it takes pointer and keyboard alike
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => wave.setOptions(colours()));
  holder.classList.add("drawn");
}

audio.controls = false;
for (const part of player.querySelectorAll("[hidden]:not(#unplayable, #finding)")) part.hidden = false;
play.addEventListener("click", toggle);
seek.addEventListener("input", () => goTo(Number(seek.value)));
seek.addEventListener("keydown", (event) => { // its own steps are as fine as a pointer's
  const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5 }[event.key];
  if (!step) return;
  event.preventDefault();
  goTo(audio.currentTime + step);
});
speed.addEventListener("change", () => setSpeed(0));
for (const button of player.querySelectorAll("[data-skip]")) {
  button.addEventListener("click", () => goTo(audio.currentTime + Number(button.dataset.skip)));
}
for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, showPlaying);
for (const event of ["timeupdate", "seeking", "seeked"]) audio.addEventListener(event, showTime);
audio.addEventListener("error", () => { byId("unplayable").hidden = false; });

const keptSpeed = localStorage.getItem("speed");
if (Array.from(speed.options).some((option) => option.value === keptSpeed)) speed.value = keptSpeed;
setSpeed(0);
drawWave();

// --- the keyboard -----------------------------------------------------------------------------
shortcuts.checked = localStorage.getItem("shortcuts") !== "off";
shortcuts.addEventListener("change", () => localStorage.setItem("shortcuts", shortcuts.checked ? "on" : "off"));

/** The segment being spoken, else the first in view. */
function segmentInHand() {
  const below = player.getBoundingClientRect().bottom;
  const segments = [...document.querySelectorAll("#text .segment")];
  return document.querySelector(".segment.current") ?? segments.find((one) => one.getBoundingClientRect().bottom > below);
}

const keys = {
  " ": toggle,
  j: () => goTo(audio.currentTime - 5),
  l: () => goTo(audio.currentTime + 5),
  "[": () => setSpeed(-1),
  "]": () => setSpeed(1),
  e: () => begin(segmentInHand()),
  f: find.focus,
  "?": () => byId("keyboard").showModal(),
};
document.addEventListener("keydown", (event) => {
  if (!shortcuts.checked || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const own = "input:not([type=range], [type=checkbox]), select, textarea, [contenteditable]";
  if (event.target.closest(event.key === " " ? `${own}, button, summary, a, [type=checkbox]` : own)) return;
  const action = keys[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

// --- beginning --------------------------------------------------------------------------------
/** `#t=172` opens at 2:52; `&q=…` finds that there. */
function goToAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const time = Number(address.get("t"));
  if (address.get("q")) find.open(address.get("q"));
  if (!(time > 0)) return;
  const line = lastBegun(lines, time + 0.02, (item) => item.start);
  if (line) bringIntoView(line.element);
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) goTo(time), mark();
  else audio.addEventListener("loadedmetadata", () => (goTo(time), mark()), { once: true });
}

document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "text") readLines(), drawWave(); });
addEventListener("hashchange", goToAddress);
readLines();
goToAddress();
