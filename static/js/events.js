// Keeps rows, text and slot rail true: a message says what changed, and the piece asks for itself again.
// Without the socket the pieces poll, so the page stays true, only later.
import { connect } from "./socket.js";

const OWN_PAUSE = 1000, LINE_PAUSE = 4000; // ms between two requests for one piece, at most
const rows = document.getElementById("rows");
const asked = new Map(); // piece id -> when it was asked for, and the timer of the next time

/** Ask for a piece again: at once, or after the pause when it was just asked for. */
function refresh(id, pause) {
  const now = Date.now();
  const state = asked.get(id) ?? { last: 0, timer: 0 };
  asked.set(id, state);
  if (state.timer) return;
  const ask = () => {
    state.timer = 0;
    state.last = Date.now();
    const piece = document.getElementById(id);
    if (piece) htmx.trigger(piece, "changed");
  };
  const rest = state.last + pause - now;
  if (rest <= 0) ask();
  else state.timer = setTimeout(ask, rest);
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
  if (message.queue) {
    refresh("rail", LINE_PAUSE);
    for (const piece of document.querySelectorAll("[data-unfinished]")) refresh(piece.id, LINE_PAUSE);
  } else if (message.gone) {
    document.getElementById(`recording-${message.recording}`)?.remove();
    if (text?.dataset.recording === String(message.recording)) location.assign("/");
  } else {
    refresh("rail", OWN_PAUSE);
    if (text?.dataset.recording === String(message.recording)) refresh("text", OWN_PAUSE);
    else if (rows) showRow(message.recording);
  }
  document.dispatchEvent(new Event("stile:changed"));
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
