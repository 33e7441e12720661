// Correcting the text in place. A segment saves itself while it is edited; text that cannot be saved stays in it, with the
// reason below.
import { caretAt } from "./caret.js";
import { correct, refreshText, whyNot } from "./corrections.js";
import { appendCopy, around, byId, data, one } from "./dom.js";
import { note } from "./note.js";
import { audio } from "./sound.js";

/**
 * @import { Theirs } from "./corrections.js"
 *
 * @typedef {object} Edit
 * @property {HTMLElement} segment
 * @property {HTMLElement} paragraph of the segment, with its text
 * @property {Node[]} nodes of the paragraph before the edit
 * @property {string} before the text before the edit
 * @property {boolean} corrected whether that text was a person's correction already
 * @property {string | null} saved the text that the server has; null where the typed one must be sent in any case
 * @property {boolean} changed whether the server's text is another one than before
 * @property {Promise<boolean> | null} sending the request under way
 * @property {Theirs | null} theirs somebody else's text, about which the person has to decide
 * @property {number} timer
 */

const PAUSE = 800; // ms without typing, after which the text is saved
const main = byId("main");
/** @type {Edit | null} one segment is edited at a time */
let edit = null;

const typed = (/** @type {Edit} */ { paragraph }) => paragraph.innerText.trim();

/**
 * Edit this segment. A segment that is edited is saved first, and stays open where that fails.
 * @param {HTMLElement | null | undefined} segment
 * @param {MouseEvent | [begin: number, end: number]} [place] where the cursor is to be, or what of the text is to be
 *   selected; without it, the cursor is at the end
 */
export async function begin(segment, place) {
  if (!segment?.querySelector(".edit") || segment === edit?.segment || !(await finish())) return;
  const paragraph = one(segment, "p"), nodes = [...paragraph.childNodes];
  const before = paragraph.textContent.trim(), corrected = segment.hasAttribute("data-corrected");
  edit = { segment, paragraph, nodes, before, corrected, saved: before, changed: false, sending: null, theirs: null, timer: 0 };
  audio.pause();
  note.textContent = "";
  segment.classList.add("editing");
  paragraph.textContent = before;
  paragraph.contentEditable = "plaintext-only";
  paragraph.role = "textbox";
  paragraph.ariaMultiLine = "true";
  paragraph.ariaLabel = data(note, "label");
  paragraph.focus();
  placeCursor(paragraph, place);
}

/**
 * @param {HTMLElement} paragraph
 * @param {MouseEvent | [begin: number, end: number]} [place]
 */
function placeCursor(paragraph, place) {
  const selection = getSelection(), text = paragraph.firstChild;
  const caret = place instanceof MouseEvent ? caretAt(place) : null;
  if (caret && paragraph.contains(caret.node)) {
    selection?.collapse(caret.node, caret.offset);
  } else if (Array.isArray(place) && text) {
    selection?.setBaseAndExtent(text, place[0], text, place[1]);
  } else {
    selection?.selectAllChildren(paragraph);
    selection?.collapseToEnd();
  }
}

/** @param {Edit} mine */
function end({ segment, paragraph, nodes, changed, timer }) {
  clearTimeout(timer);
  edit = null;
  const focused = segment.contains(document.activeElement);
  segment.classList.remove("editing");
  segment.querySelector(".unsaved")?.remove();
  for (const name of ["contenteditable", "role", "aria-multiline", "aria-label"]) paragraph.removeAttribute(name);
  if (!changed) paragraph.replaceChildren(...nodes);
  if (focused) one(segment, ".edit").focus();
  refreshText(); // news had to wait for the end
}

/** Save the text and end the edit. Resolves to false where the text cannot be saved: the segment then stays open. */
export async function finish() {
  const mine = edit;
  if (!mine) return true;
  if (!(await save(mine))) return false;
  if (edit === mine) end(mine);
  return true;
}

/**
 * Send the text until the server has what is typed, one request at a time.
 * @param {Edit} mine
 * @returns {Promise<boolean>} whether the server has it
 */
async function save(mine) {
  clearTimeout(mine.timer);
  while (edit === mine && typed(mine) !== mine.saved) {
    if (mine.theirs) return false;
    mine.sending ??= send(mine, typed(mine)).finally(() => { mine.sending = null; });
    if (!(await mine.sending)) return false;
  }
  return true;
}

/**
 * @param {Edit} mine
 * @param {string} text
 */
async function send(mine, text) {
  const { segment, paragraph, before, corrected } = mine;
  note.textContent = data(note, "saving");
  const answer = await correct(segment, text === before && !corrected ? null : text); // the machine's own text is no correction
  const { status, body } = answer;
  if (status === 200) {
    segment.toggleAttribute("data-corrected", body.machine_text !== null);
    mine.saved = text;
    mine.changed = true;
    if (segment.querySelector(".unsaved:focus-within")) paragraph.focus();
    segment.querySelector(".unsaved")?.remove();
    const time = new Date().toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" });
    note.textContent = data(note, "saved").replace("{time}", time);
    return true;
  }
  note.textContent = "";
  if (status === 409 && body.segment) {
    mine.theirs = body.segment;
    one(ask(segment, "conflict"), "blockquote").textContent = body.segment.text;
  } else {
    one(ask(segment, "unsaved"), "p").textContent = whyNot(answer);
  }
  return false;
}

/**
 * Say below the segment why it is not saved, with buttons for what the person can do.
 * @param {HTMLElement} segment
 * @param {"conflict" | "unsaved"} template
 */
function ask(segment, template) {
  segment.querySelector(".unsaved")?.remove();
  return appendCopy(template, segment);
}

/**
 * @param {Edit} mine
 * @param {string | undefined} answer the button that was pressed
 */
function decide(mine, answer) {
  if (answer === "retry") finish();
  if (answer === "keep" && mine.theirs) {
    mine.segment.dataset.version = String(mine.theirs.version);
    mine.theirs = mine.saved = null;
    finish();
  }
  if (answer === "take") {
    mine.changed = true; // the text that is refreshed now is theirs
    end(mine);
  }
}

/** Go back to the text before the edit, also where some of the edit was saved. @param {Edit} mine */
function revert(mine) {
  if (mine.theirs) {
    decide(mine, "take");
  } else {
    mine.paragraph.textContent = mine.before;
    finish();
  }
}

main.addEventListener("dblclick", (event) => {
  if (around(event, ".segment p")) begin(around(event, ".segment"), event);
});
main.addEventListener("click", (event) => {
  if (around(event, ".edit")) begin(around(event, ".segment"));
  if (edit) decide(edit, around(event, ".unsaved [data-do]")?.dataset.do);
});
main.addEventListener("input", ({ target }) => {
  if (!edit || target !== edit.paragraph) return;
  clearTimeout(edit.timer);
  edit.timer = setTimeout(save, PAUSE, edit);
});
main.addEventListener("keydown", (event) => {
  if (!edit || event.target !== edit.paragraph || event.isComposing) return; // an input method takes Enter and Escape itself
  if (event.key === "Escape") revert(edit);
  else if (event.key === "Enter" && !event.shiftKey) finish();
  else return;
  event.preventDefault();
});
main.addEventListener("focusout", ({ target }) => {
  if (!edit || target !== edit.paragraph) return;
  if (document.hasFocus()) finish();
  else save(edit); // the person is in another window; the cursor will be here when they come back
});
addEventListener("beforeunload", (event) => { if (edit && typed(edit) !== edit.saved) event.preventDefault(); });
addEventListener("pagehide", () => { if (edit) save(edit); });
