// Keeps rows, text and slot rail true: a message says what changed, and the piece asks for itself again.
// Without the socket the pieces poll, so the page stays true, only later.
import { connect } from "./socket.js";

const SETTLE = 100; // ms, in which one change's several messages come
const OWN_PAUSE = 1000, LINE_PAUSE = 4000; // ms between two requests for one piece, at most
const rows = document.getElementById("rows");
const asked = new Map(); // piece id -> when it last asked for itself, and when it is due again

/** Have a piece ask for itself again: soon, or `pause` after it last did. */
function refresh(id, pause) {
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
    if (piece) htmx.trigger(piece, "changed");
  }, due - Date.now());
}

function remove(recording) {
  const id = `recording-${recording}`;
  clearTimeout(asked.get(id)?.timer);
  asked.delete(id);
  document.getElementById(id)?.remove();
}

const coming = new Set();

/** Put a new recording's row on top, once, whoever tells about it first: the upload or the server. */
export async function showRow(id) {
  if (document.getElementById(`recording-${id}`)) return refresh(`recording-${id}`, OWN_PAUSE);
  if (coming.has(id) || !rows?.hasAttribute("data-newest")) return;
  const newest = rows.firstElementChild;
  if (newest && id < Number(newest.id.split("-")[1])) return; // an old one, on a later page
  coming.add(id);
  await htmx.ajax("GET", rows.dataset.row.replace("/0/", `/${id}/`), { target: rows, swap: "afterbegin" });
  coming.delete(id);
}

function onMessage(message) {
  const text = document.getElementById("text");
  const reading = text !== null && Number(text.dataset.recording) === message.recording;
  if (message.queue) {
    refresh("rail", LINE_PAUSE);
    for (const piece of document.querySelectorAll("[data-unfinished]")) refresh(piece.id, LINE_PAUSE);
  } else if (message.gone) {
    remove(message.recording);
    if (reading) location.assign("/");
  } else {
    refresh("rail", OWN_PAUSE);
    if (reading) refresh("text", OWN_PAUSE);
    else if (rows) showRow(message.recording);
  }
}

let wasOpen = false;
function onState(open) {
  document.documentElement.toggleAttribute("data-offline", !open);
  if (open && wasOpen) { // whatever happened meanwhile
    for (const piece of document.querySelectorAll("#rail, [data-unfinished]")) htmx.trigger(piece, "changed");
  }
  wasOpen ||= open;
}

connect("/ws/recordings", onMessage, onState);
