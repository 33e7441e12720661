// Keeps rows, text and rail of permits true: a message says what changed, and the piece asks for itself again. Rows come with the
// rail, in one answer and of one moment, so that they never contradict it.
// Without the socket the pieces poll, so the page stays true, only later.
import { root } from "./root.js";
import { connect } from "./socket.js";

const SETTLE = 100; // ms, in which one change's several messages come
const SIGNED_OUT = 4401; // the socket's close code
const OWN_PAUSE = 1000, LINE_PAUSE = 4000; // ms between two requests for one piece, at most
const rows = document.getElementById("rows");
const text = document.getElementById("text"); // swapped for newer ones of the same recording
const asked = new Map(); // piece id -> when it last asked for itself, and when it is due again

/** A menu is not taken from under somebody's pointer, nor a line from under their cursor, nor what they press until it is
 *  answered, for nobody would hear why it failed: the newer piece comes after. */
const held = (piece) => piece.querySelector("details[open], .editing, :active, .htmx-request");

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
  const { target, xhr } = event.detail;
  if (xhr.status === 404 && target.id === "text") remove(Number(target.dataset.recording)); // no message came through
});

for (const name of ["htmx:beforeSwap", "htmx:oobBeforeSwap"]) {
  document.addEventListener(name, (event) => {
    if (event.detail.target === rows || !held(event.detail.target)) return; // new ones only come on top
    event.detail.shouldSwap = false;
    const { id, dataset } = event.detail.target;
    if (id === "text") refresh(id, OWN_PAUSE);
    else if (dataset.recording) showRow(Number(dataset.recording));
  });
}

function remove(recording) {
  if (Number(text?.dataset.recording) === recording) {
    clearTimeout(asked.get("text")?.timer);
    if (!document.querySelector(".editing")) location.assign(`${root}/`); // what is typed can still be copied
  } else {
    document.getElementById(`recording-${recording}`)?.remove();
  }
}

/** Have the rail bring the recording's row along; one that is newer than all others comes with it by itself. */
export function showRow(id) {
  const row = document.getElementById(`recording-${id}`) ?? placeFor(id);
  if (row && !row.querySelector("[name=row]")) {
    row.append(Object.assign(document.createElement("input"), { type: "hidden", name: "row", value: id }));
  }
  refresh("rail", OWN_PAUSE);
}

/** A place in order, unless the row is to be the first, or is on another page. */
function placeFor(id) {
  const older = Array.from(rows.children).find((row) => Number(row.dataset.recording) < id);
  const last = !older && (!rows.children.length || document.querySelector(".pager"));
  if (!rows.hasAttribute("data-newest") || older === rows.firstElementChild || last) return null;
  const row = Object.assign(document.createElement("li"), { id: `recording-${id}`, hidden: true });
  row.dataset.recording = id;
  rows.insertBefore(row, older ?? null);
  return row;
}

/** The rail counts recordings too of which no message has come yet: it brings those newer than the first row. */
document.addEventListener("htmx:configRequest", ({ detail: { elt, parameters } }) => {
  if (elt.id !== "rail" || !rows.hasAttribute("data-newest")) return;
  parameters.newest = rows.firstElementChild?.dataset.recording ?? 0;
});

rows?.addEventListener("changed", (event) => showRow(Number(event.target.closest(".row").dataset.recording)));

const moved = () => document.querySelectorAll("#rail, #text[data-unfinished]");

function onMessage(message) {
  for (const { recording, gone } of message.recordings ?? [message]) {
    if (gone) remove(recording);
    else if (Number(text?.dataset.recording) === recording) refresh("text", OWN_PAUSE);
    else if (recording && rows) showRow(recording);
  }
  if (message.queue) for (const piece of moved()) refresh(piece.id, LINE_PAUSE);
}

function onState(open, code) {
  document.documentElement.toggleAttribute("data-offline", !open);
  if (!open && code !== SIGNED_OUT) return;
  for (const piece of moved()) refresh(piece.id, 0); // whatever happened meanwhile; else to be led to the sign-in
}

connect("/ws/recordings", onMessage, onState);
