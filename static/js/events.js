// Keeps the library and a recording's page up to date: a message says what has changed, and that piece of the page asks the
// server for itself. Rows come in the rail's answer, so that both are of one moment and never contradict each other.
// While the socket is away, the pieces poll.
import { all, around } from "./dom.js";
import { removeRow } from "./rows.js";
import { root } from "./server.js";
import { Connection } from "./socket.js";

/** @typedef {{ recording?: number, gone?: boolean }} Change */
/** @typedef {Change & { recordings?: Change[], queue?: string, whisper?: string }} Message of one change or of several; or that
 *  the line moved; or that Whisper is away or back */

const SETTLE = 100; // ms, within which the messages about one change come
const SIGNED_OUT = 4401; // the socket's close code
const OWN_PAUSE = 1000, LINE_PAUSE = 4000; // ms between two requests of one piece, for a recording and for the line
const POLL = 20_000; // ms between two requests of a piece that shows the line, where no message comes
const rows = document.getElementById("rows"); // in the library
const text = document.getElementById("text"); // on a recording's page; newer texts of the same recording take its place

/** When each piece asked last, and when it is to ask next, by the piece's id. Times in ms since 1970.
 *  @type {Map<string, { last: number, due: number, timer: number }>} */
const asked = new Map();

/**
 * Whether a piece must stay for now: a person has its menu open, edits in it, presses something in it, or waits for the answer.
 * @param {Element} piece
 */
const held = (piece) => piece.querySelector(".menu[open], .editing, :active, .htmx-request") !== null;

/**
 * Let a piece ask the server for itself, soon.
 * @param {string} id
 * @param {number} pause ms that must have passed since it last did
 */
export function refresh(id, pause) {
  const state = asked.get(id) ?? { last: 0, due: Infinity, timer: 0 };
  asked.set(id, state);
  const due = Math.max(state.last + pause, Date.now() + SETTLE);
  if (due >= state.due) return;
  clearTimeout(state.timer);
  state.due = due;
  state.timer = setTimeout(() => {
    state.last = Date.now();
    state.due = Infinity;
    const piece = document.getElementById(id);
    if (!piece) return;
    if (piece.matches(".htmx-request") || held(piece)) refresh(id, OWN_PAUSE); // the answer to come may be older than the change
    else htmx.trigger(piece, "changed");
  }, due - Date.now());
}

document.addEventListener("htmx:beforeSwap", ({ detail: { target, xhr } }) => {
  if (xhr.status === 404 && target.id === "text") remove(Number(target.dataset.recording)); // its message was lost
});

for (const name of /** @type {const} */ (["htmx:beforeSwap", "htmx:oobBeforeSwap"])) {
  document.addEventListener(name, ({ detail }) => {
    const { target } = detail;
    if (target === rows || !held(target)) return; // a swap of #rows only adds rows
    detail.shouldSwap = false;
    if (target.id === "text") refresh("text", OWN_PAUSE);
    else if (target.dataset.recording) showRow(Number(target.dataset.recording));
  });
}

/** @param {number} recording that was deleted */
function remove(recording) {
  if (Number(text?.dataset.recording) === recording) {
    clearTimeout(asked.get("text")?.timer);
    if (!document.querySelector(".editing")) location.assign(`${root}/`); // a person who edits can still copy the text
  } else {
    removeRow(`recording-${recording}`);
  }
}

/**
 * Show the recording's newest row, or its first one. It comes with the rail.
 * @param {number} id of the recording
 */
export function showRow(id) {
  const row = document.getElementById(`recording-${id}`) ?? placeFor(id);
  if (row && !row.querySelector("[name=row]")) {
    row.append(Object.assign(document.createElement("input"), { type: "hidden", name: "row", value: id }));
  }
  refresh("rail", OWN_PAUSE);
}

/**
 * A hidden row in the order of the list, for the real one to replace. None where the rail brings the row by itself, as the
 * newest of all, or where the recording belongs to another page of the list.
 * @param {number} id of the recording
 */
function placeFor(id) {
  if (!rows?.hasAttribute("data-newest")) return null;
  const older = Array.from(rows.children).find((row) => row instanceof HTMLElement && Number(row.dataset.recording) < id);
  const last = !older && (!rows.children.length || document.querySelector(".pager"));
  if (older === rows.firstElementChild || last) return null;
  const row = Object.assign(document.createElement("li"), { id: `recording-${id}`, hidden: true });
  row.dataset.recording = String(id);
  rows.insertBefore(row, older ?? null);
  return row;
}

/** The rail brings all recordings that are newer than the first row, also those of which no message has come yet. */
document.addEventListener("htmx:configRequest", ({ detail: { elt, parameters } }) => {
  if (elt.id !== "rail" || !rows?.hasAttribute("data-newest")) return;
  parameters.newest = rows.querySelector("li")?.dataset.recording ?? "0";
});

/**
 * The versions of the segments that the page has, by index: `0x7..2.0x440`, where `0x7` stands for seven times `0`.
 * @param {ParentNode} piece with the text
 */
function versions(piece) {
  /** @type {string[]} */
  const found = [];
  for (const { dataset } of all(piece, ".segment")) found[Number(dataset.index)] = dataset.shown ?? "";
  return found.join(".").replace(/\b(\d+)(?:\.\1\b)+/g, (run, version) => `${version}x${run.split(".").length}`);
}

/** The answer for the text brings what the page does not have: segments, and the peaks of the waveform. */
document.addEventListener("htmx:configRequest", ({ detail: { elt, parameters } }) => {
  if (elt.id !== "text") return;
  parameters.have = versions(elt);
  if (!document.querySelector(".wave.drawn")) parameters.peaks = "";
});

rows?.addEventListener("changed", (event) => showRow(Number(around(event, ".row")?.dataset.recording)));

/** The pieces that show the line. */
const waiting = () => document.querySelectorAll("#rail, #text:has([data-unfinished])");
const refreshWaiting = (/** @type {number} */ pause) => { for (const { id } of waiting()) refresh(id, pause); };

new Connection(() => "/ws/recordings", {
  onMessage(/** @type {Message} */ message) {
    for (const { recording, gone } of message.recordings ?? [message]) {
      if (!recording) continue;
      if (gone) remove(recording);
      else if (Number(text?.dataset.recording) === recording) refresh("text", OWN_PAUSE);
      else if (rows) showRow(recording);
    }
    if (message.queue) refreshWaiting(message.whisper ? OWN_PAUSE : LINE_PAUSE);
  },
  onState(open, code) {
    document.documentElement.toggleAttribute("data-offline", !open);
    if (!open && code !== SIGNED_OUT) return;
    refreshWaiting(0); // what was missed meanwhile; a person signed out is led to the sign-in
  },
});
setInterval(refreshWaiting, POLL, LINE_PAUSE);
