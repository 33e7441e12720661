// Searching everything, in the dialog of every page (Ctrl K, ⌘K) and on a page of its own: results while one types, the
// keys ↓ ↑ through them, and five seconds of each hit. Loaded when it is first used.
import { all, around, byId, data, one } from "./dom.js";
import { whyOf } from "./requests.js";

const PAUSE = 150; // ms without a key before the server is asked
const LISTEN = 5; // seconds
const STOPS = ".results a, .results button";
const dialog = byId("searching", HTMLDialogElement);
const sound = new Audio();
let timer = 0;
/** @type {HTMLElement | null} the button whose hit is heard */
let playing = null;

/** @param {Event} event */
const typedIn = (event) => (event.target instanceof HTMLInputElement && event.target.closest(".search-form") ? event.target : null);

document.addEventListener("input", (event) => {
  const input = typedIn(event);
  if (!input || (event instanceof InputEvent && event.isComposing)) return; // Pinyin on its way to Chinese
  clearTimeout(timer);
  timer = setTimeout(() => htmx.trigger(input, "look"), PAUSE);
});
document.addEventListener("compositionstart", () => clearTimeout(timer));
document.addEventListener("compositionend", (event) => {
  const input = typedIn(event);
  if (input) input.dispatchEvent(new Event("input", { bubbles: true }));
});

const first = one(dialog, "input", HTMLInputElement);
if (first.value) htmx.trigger(first, "look"); // typed while this script was loaded

/**
 * Tell a screen reader, and in case of a failure everybody.
 * @param {Element} input
 * @param {string} words
 * @param {boolean} failed
 */
function tell(input, words, failed) {
  const place = input.closest(".searching");
  if (!place) return;
  const told = one(place, "[role=status]");
  told.textContent = words;
  told.className = failed ? "problem" : "unseen";
}

document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful, xhr } }) => {
  if (!(elt instanceof HTMLInputElement) || !elt.closest(".search-form")) return;
  stop();
  if (successful) {
    const results = elt.closest(".searching")?.querySelector(".results .told");
    tell(elt, results?.textContent ?? "", false);
  } else {
    tell(elt, whyOf(xhr), true);
  }
});

addEventListener("online", () => {
  for (const input of all(document, ".searching:has(.problem) input")) htmx.trigger(input, "look");
});

// --- keys --------------------------------------------------------------------------------------
document.addEventListener("keydown", (event) => {
  const place = around(event, ".searching");
  if (!place || event.isComposing) return;
  const here = around(event, STOPS), links = all(place, ".results a");
  const at = links.findIndex((link) => link === here || link.parentElement === here?.parentElement);
  if (event.key === " " && here?.matches(".hit a")) {
    event.preventDefault();
    all(document, ".hit [data-play]").find((button) => button.parentElement === here.parentElement)?.click();
  } else if (event.key === "ArrowDown" && at + 1 < links.length) {
    event.preventDefault();
    links[at + 1].focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    event.preventDefault();
    (links[at - 1] ?? one(place, "input")).focus();
  }
});

// --- listening ---------------------------------------------------------------------------------
function stop() {
  sound.pause();
  playing?.classList.remove("playing");
  playing?.setAttribute("aria-label", data(playing, "label"));
  playing = null;
}

/** @param {HTMLElement} button */
function play(button) {
  stop();
  playing = button;
  button.dataset.label ??= button.getAttribute("aria-label") ?? "";
  button.setAttribute("aria-label", data(one(document, ".results"), "pause"));
  button.classList.add("playing");
  const url = new URL(data(button, "play"), location.href).href, start = Number(data(button, "start"));
  if (sound.src !== url) sound.src = url;
  sound.currentTime = start; // before the sound is loaded, this is where it will begin
  sound.dataset.end = String(start + LISTEN);
  sound.play().catch(() => { if (playing === button) stop(); });
}

sound.addEventListener("timeupdate", () => { if (sound.currentTime >= Number(sound.dataset.end)) stop(); });
sound.addEventListener("ended", stop);
sound.addEventListener("error", () => {
  const input = playing?.closest(".searching")?.querySelector("input");
  if (input) tell(input, data(input, "silent"), true);
  stop();
});
dialog.addEventListener("close", stop);
document.addEventListener("click", (event) => {
  const button = around(event, ".hit [data-play]");
  if (button === playing && button) stop();
  else if (button) play(button);
  if (around(event, ".results a")) dialog.close(); // it may lead to another moment of this page
});
