// Where lines begin and end: splitting a line at the cursor, joining two, and the dialog with a line's times.
import { all, byId, data, one } from "./dom.js";
import { duration, audio, goTo } from "./sound.js";
import { playStretch } from "./repeat.js";
import { change, offerUndo } from "./undo.js";
import { note } from "./note.js";
import { say } from "./toast.js";

const dialog = byId("times", HTMLDialogElement), form = one(dialog, "form", HTMLFormElement);
const start = one(form, "[name=start]", HTMLInputElement), end = one(form, "[name=end]", HTMLInputElement);
const problem = one(dialog, ".problem");
/** @type {HTMLElement | null} the segment whose times the dialog shows */
let shown = null;

/** What the server must know of a segment to see whether somebody changed it. @param {HTMLElement} segment */
const asRead = (segment) => ({ transcription: Number(byId("text").dataset.transcription), version: Number(segment.dataset.version) });

/** @param {HTMLElement} segment */
const pathOf = (segment) => `segments/${data(segment, "index")}`;

/**
 * Send a change, and say how it went. A change that was refused leaves everything as it is.
 * @param {"POST" | "PUT"} method
 * @param {string} path
 * @param {object} body
 * @param {string} sentence the name of the one for a success, by the player
 */
async function make(method, path, body, sentence) {
  const { ok, status, body: answer, words } = await change(method, path, body);
  if (ok) offerUndo(data(note, sentence), JSON.parse(answer).undo);
  else if (status !== 409 || !answer.includes('"segment"')) say(words);
  else say(data(note, "changed"));
  return ok;
}

/**
 * @param {HTMLElement} segment
 * @param {[string, string]} texts of the two parts
 */
export const split = (segment, texts) => make("POST", `${pathOf(segment)}/split`, { ...asRead(segment), texts }, "split");

/**
 * Join a line with the one below it.
 * @param {HTMLElement | undefined} upper
 * @param {HTMLElement | undefined} lower
 */
export async function join(upper, lower) {
  if (!upper || !lower) return say(data(note, "alone"));
  const body = { ...asRead(upper), next_version: Number(lower.dataset.version) };
  await make("POST", `${pathOf(upper)}/join`, body, "joined");
}

/**
 * The line above or below.
 * @param {HTMLElement} segment
 * @param {number} by -1 or 1
 */
export function neighbour(segment, by) {
  const segments = all(document, "#text .segment");
  return segments[segments.indexOf(segment) + by];
}

/** 62.5 as 1:02.50. @param {number} seconds */
const written = (seconds) => `${Math.floor(Math.round(seconds * 100) / 6000)}:${((Math.round(seconds * 100) % 6000) / 100).toFixed(2).padStart(5, "0")}`;

/** The seconds in 1:02.50, 1:00:02.5 or 62.5; NaN for anything else. @param {string} text */
export function secondsIn(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d*)?$/.test(part))) return NaN;
  return parts.reduce((seconds, part) => seconds * 60 + Number(part), 0);
}

/** Open the dialog with the times of this line. @param {HTMLElement | undefined} segment */
export function showTimes(segment) {
  if (!segment) return;
  shown = segment;
  start.value = written(Number(segment.dataset.start));
  end.value = written(Number(segment.dataset.end));
  problem.hidden = true;
  dialog.showModal();
  start.select();
}

/** @param {HTMLInputElement} input @param {number} before the segment's own time, which hundredths may round */
function timeIn(input, before) {
  const seconds = input.value === written(before) ? before : secondsIn(input.value);
  input.setCustomValidity(Number.isFinite(seconds) ? "" : data(form, "wrong"));
  return seconds;
}

const times = () => ({ start: timeIn(start, Number(shown?.dataset.start)), end: timeIn(end, Number(shown?.dataset.end)) });

for (const input of [start, end]) {
  input.addEventListener("input", times);
  one(form, `[data-now="${input.name}"]`).addEventListener("click", () => {
    input.value = written(Math.min(audio.currentTime, duration));
    times();
  });
}
one(form, "[data-listen]").addEventListener("click", () => {
  const { start: from, end: to } = times();
  if (form.reportValidity()) playStretch({ start: from, end: to });
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = times();
  if (!shown || !form.reportValidity()) return;
  const { ok, body: answer, words } = await change("PUT", `${pathOf(shown)}/times`, { ...asRead(shown), ...body });
  problem.hidden = ok;
  problem.textContent = words;
  if (!ok) return;
  dialog.close();
  offerUndo(data(note, "retimed"), JSON.parse(answer).undo);
});
dialog.addEventListener("close", () => {
  playStretch(null);
  goTo(audio.currentTime);
});
