// Keeps rows, text and slot rail true: a message says what changed, and the piece asks for itself again.
// Without the socket the pieces poll, so the page stays true, only later.
import { connect } from "./socket.js";

const SETTLE = 100; // ms, in which one change's several messages come
const SIGNED_OUT = 4401; // the socket's close code
const OWN_PAUSE = 1000, LINE_PAUSE = 4000; // ms between two requests for one piece, at most
const rows = document.getElementById("rows");
const text = document.getElementById("text"); // swapped for newer ones of the same recording
const asked = new Map(); // piece id -> when it last asked for itself, and when it is due again

/** A menu is not taken from under somebody's pointer, nor a line from under their cursor, nor what they press: the newer
 *  piece comes after. */
const held = (piece) => piece.querySelector("details[open], .editing, :active");

/** Have a piece ask for itself again: soon, or `pause` after it last did. */
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
    if (piece && held(piece)) refresh(id, OWN_PAUSE);
    else if (piece) htmx.trigger(piece, "changed");
  }, due - Date.now());
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, pathInfo } = event.detail;
  if (new URL(xhr.responseURL).pathname !== pathInfo.requestPath) { // led to the sign-in: the session has ended
    event.detail.shouldSwap = false;
    location.reload();
  } else if (xhr.status === 404) { // deleted while no message came through
    gone(Number(target.dataset.recording));
  }
});

for (const name of ["htmx:beforeSwap", "htmx:oobBeforeSwap"]) {
  document.addEventListener(name, (event) => {
    if (!held(event.detail.target)) return;
    event.detail.shouldSwap = false;
    refresh(event.detail.target.id, OWN_PAUSE);
  });
}

function gone(recording) {
  if (Number(text?.dataset.recording) === recording) {
    clearTimeout(asked.get("text")?.timer);
    if (!document.querySelector(".editing")) location.assign("/"); // what is typed can still be copied
    return;
  }
  const id = `recording-${recording}`;
  clearTimeout(asked.get(id)?.timer);
  asked.delete(id);
  document.getElementById(id)?.remove();
}

/** Put a new recording's row where it belongs, once, whoever tells about it first: the upload or the server. */
export async function showRow(id) {
  const shown = () => document.getElementById(`recording-${id}`);
  if (shown()) return refresh(shown().id, OWN_PAUSE);
  if (!rows.hasAttribute("data-newest")) return;
  const answer = await fetch(rows.dataset.row.replace("/0/", `/${id}/`));
  if (!answer.ok || answer.redirected) return;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const older = Array.from(rows.children).find((row) => Number(row.dataset.recording) < id);
  if (shown() || (!older && document.querySelector(".pager"))) return; // there by now, or on a later page
  const row = holder.content.firstElementChild;
  rows.insertBefore(row, older ?? null);
  htmx.process(row);
}

/** The rail brings the rows along whose transcription is not finished. */
const moved = () => document.querySelectorAll("#rail, #text[data-unfinished]");

function onMessage(message) {
  if (message.gone) gone(message.recording);
  else if (Number(text?.dataset.recording) === message.recording) refresh("text", OWN_PAUSE);
  else if (message.recording && rows) showRow(message.recording);
  if (message.queue) for (const piece of moved()) refresh(piece.id, LINE_PAUSE);
}

function onState(open, code) {
  document.documentElement.toggleAttribute("data-offline", !open);
  if (!open && code !== SIGNED_OUT) return;
  for (const piece of moved()) refresh(piece.id, 0); // whatever happened meanwhile; else to be led to the sign-in
}

connect("/ws/recordings", onMessage, onState);
