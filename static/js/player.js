// The player's controls: play, seek, skip, speed.
import { clock } from "./clock.js";
import { all, byId, data, one } from "./dom.js";
import { mark } from "./lines.js";
import { send } from "./requests.js";
import { audio, goTo, toggle } from "./sound.js";
import { drawWave } from "./wave.js";

const player = byId("player"), play = byId("play"), time = byId("time");
const seek = byId("seek", HTMLInputElement), speed = byId("speed", HTMLSelectElement);
const playLabel = play.getAttribute("aria-label") ?? "", pauseLabel = data(play, "pause");
const unheard = byId("unheard");
const SEEK_KEYS = new Map([["ArrowLeft", -5], ["ArrowDown", -5], ["ArrowRight", 5], ["ArrowUp", 5]]); // seconds

function showTime() {
  const { currentTime } = audio;
  if (document.activeElement !== seek || !seek.matches(":active")) seek.value = String(currentTime);
  seek.setAttribute("aria-valuetext", clock(currentTime));
  time.textContent = clock(currentTime);
  mark();
}

function showPlaying() {
  player.classList.toggle("playing", !audio.paused);
  play.setAttribute("aria-label", audio.paused ? playLabel : pauseLabel);
  if (!audio.paused) requestAnimationFrame(tick);
}

/** The event `timeupdate` comes four times a second, which is too coarse to mark words. */
function tick() {
  showTime();
  if (!audio.paused) requestAnimationFrame(tick);
}

/** @param {number} step 1 for the next faster speed, -1 for the next slower one, 0 for the chosen one */
export function setSpeed(step) {
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + step, 0), speed.length - 1);
  audio.defaultPlaybackRate = audio.playbackRate = Number(speed.value);
  localStorage.setItem("speed", speed.value);
}

audio.controls = false;
for (const part of all(player, "[hidden]:not(#unplayable, #finding, #unsure, #repeated)")) part.hidden = false;
play.addEventListener("click", toggle);
seek.addEventListener("input", () => goTo(Number(seek.value)));
seek.addEventListener("keydown", (event) => { // the control's own steps are a tenth of a second, for a pointer
  const step = SEEK_KEYS.get(event.key);
  if (!step) return;
  event.preventDefault();
  goTo(audio.currentTime + step);
});
speed.addEventListener("change", () => setSpeed(0));
for (const button of all(player, "[data-skip]")) {
  button.addEventListener("click", () => goTo(audio.currentTime + Number(button.dataset.skip)));
}
for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, showPlaying);
for (const event of ["timeupdate", "seeking", "seeked"]) audio.addEventListener(event, showTime);
/** Say why there is no sound: it does not come, or it comes and the browser cannot play it. */
async function tellFault() {
  const { ok, words } = await send(audio.currentSrc, { method: "GET", headers: { Range: "bytes=0-0" } });
  byId("unplayable").hidden = !ok;
  unheard.hidden = ok;
  one(unheard, "span").textContent = words;
}

audio.addEventListener("error", tellFault);
if (audio.error) tellFault(); // before this script ran
one(unheard, "button").addEventListener("click", () => {
  unheard.hidden = true;
  audio.load();
  play.focus();
});

const keptSpeed = localStorage.getItem("speed");
if (Array.from(speed.options).some(({ value }) => value === keptSpeed)) speed.value = keptSpeed ?? "";
setSpeed(0);
drawWave();
