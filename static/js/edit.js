// Correcting the text in place. A segment saves itself while it is edited; text that cannot be saved stays in it, with the
// reason below.
import * as arrange from "./arrange.js";
import { placeCursor } from "./caret.js";
import { correct, refreshText, whyNot } from "./corrections.js";
import { cursorIn, placeBefore, timeAt } from "./cursor.js";
import { appendCopy, around, byId, data, one } from "./dom.js";
import { note } from "./note.js";
import { signIn } from "./requests.js";
import { audio, goTo, toggle } from "./sound.js";
import { ask, keepText, keptText } from "./unsaved.js";

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
 * @property {boolean} splitting whether the server is just making two lines of this one
 * @property {number} timer
 * @property {number} cursor where it was last, as a number of characters before it
 */

const PAUSE = 800; // ms without typing, after which the text is saved
const main = byId("main");
/** @type {Edit | null} one segment is edited at a time */
let edit = null;
let leaving = false; // for the sign-in, with the text kept

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
  edit = { segment, paragraph, nodes, before, corrected, saved: before, changed: false, sending: null, theirs: null, splitting: false, timer: 0, cursor: 0 };
  audio.pause();
  note.textContent = "";
  segment.classList.add("editing");
  paragraph.textContent = before;
  paragraph.contentEditable = "plaintext-only";
  paragraph.role = "textbox";
  paragraph.ariaMultiLine = "true";
  paragraph.ariaLabel = data(note, "label");
  appendCopy("tools", segment);
  paragraph.focus();
  placeCursor(paragraph, place);
}

/** @param {Edit} mine */
function end({ segment, paragraph, nodes, changed, timer }) {
  clearTimeout(timer);
  edit = null;
  const focused = segment.contains(document.activeElement);
  segment.classList.remove("editing");
  for (const extra of segment.querySelectorAll(".unsaved, .tools")) extra.remove();
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
    if (mine.theirs || mine.splitting) return false;
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
    const asked = ask(segment, "unsaved");
    one(asked, "p").textContent = whyNot(answer);
    one(asked, "[data-do=sign-in]").hidden = !answer.signedOut;
  }
  return false;
}

/**
 * @param {Edit} mine
 * @param {string | undefined} answer the button that was pressed
 */
function decide(mine, answer) {
  if (answer === "retry") finish();
  if (answer === "sign-in") signIn();
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

/** Go on with the text that was typed before a sign-in. */
async function goOn() {
  const kept = keptText();
  if (kept) await begin(kept.segment);
  if (!kept || edit?.segment !== kept.segment) return;
  edit.paragraph.textContent = kept.text;
  placeCursor(edit.paragraph);
  save(edit);
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

/** Play from the word at the cursor, or pause. The cursor stays. @param {Edit} mine */
function listen({ segment, paragraph, nodes, before, cursor }) {
  if (audio.paused) goTo(timeAt(nodes, placeBefore(before, paragraph.textContent, cursor)) ?? Number(segment.dataset.start));
  toggle();
}

/** Make two lines of this one, with what was typed so far. @param {Edit} mine */
async function split(mine) {
  const { segment, paragraph } = mine, text = paragraph.textContent;
  clearTimeout(mine.timer);
  await mine.sending; // its answer brings the version
  if (edit !== mine || mine.theirs) return;
  mine.splitting = true;
  const done = await arrange.split(segment, [text.slice(0, mine.cursor), text.slice(mine.cursor)]);
  mine.splitting = false;
  if (!done || edit !== mine) return;
  mine.changed = true;
  end(mine);
}

/**
 * Join this line with the one above or below, after it is saved.
 * @param {Edit} mine
 * @param {number} by -1 or 1
 */
async function join({ segment }, by) {
  const other = arrange.neighbour(segment, by);
  if (!(await finish())) return;
  if (by > 0) await arrange.join(segment, other);
  else await arrange.join(other, segment);
}

/** @param {Edit} mine */
async function showTimes({ segment }) {
  if (await finish()) arrange.showTimes(segment);
}

/** @type {Record<string, (mine: Edit) => void>} */
const tools = { listen, split, join: (mine) => join(mine, 1), times: showTimes };

/**
 * What a key does while a line is edited, besides writing.
 * @param {KeyboardEvent} event
 * @param {Edit} mine
 */
function actionOf({ key, shiftKey, ctrlKey, metaKey, altKey, repeat }, mine) {
  if (key === "Escape") return revert;
  if (key === "Enter" && (ctrlKey || metaKey)) return listen;
  if (key === "Enter" && altKey) return split;
  if (key === "Enter" && !shiftKey) return finish;
  if (repeat || !getSelection()?.isCollapsed || ctrlKey || metaKey || altKey) return null; // a key held down deletes text only
  if (key === "Backspace" && mine.cursor === 0) return () => join(mine, -1);
  if (key === "Delete" && mine.cursor === mine.paragraph.textContent.length) return () => join(mine, 1);
  return null;
}

main.addEventListener("pointerdown", (event) => {
  if (around(event, ".tools")) event.preventDefault(); // the cursor stays in the text
});
main.addEventListener("dblclick", (event) => {
  if (around(event, ".segment p")) begin(around(event, ".segment"), event);
});
main.addEventListener("click", (event) => {
  if (around(event, ".edit")) begin(around(event, ".segment"));
  if (!edit) return;
  decide(edit, around(event, ".unsaved [data-do]")?.dataset.do);
  const tool = around(event, ".tools [data-do]")?.dataset.do;
  if (!tool) return;
  if (document.activeElement === edit.paragraph) edit.cursor = cursorIn(edit.paragraph);
  tools[tool](edit);
});
main.addEventListener("input", ({ target }) => {
  if (!edit || target !== edit.paragraph) return;
  clearTimeout(edit.timer);
  edit.timer = setTimeout(save, PAUSE, edit);
});
main.addEventListener("keydown", (event) => {
  if (!edit || event.target !== edit.paragraph || event.isComposing) return; // an input method takes Enter and Escape itself
  edit.cursor = cursorIn(edit.paragraph);
  const action = actionOf(event, edit);
  if (!action) return;
  event.preventDefault();
  action(edit);
});
main.addEventListener("keydown", (event) => {
  if (edit && event.key === "Escape" && around(event, ".tools")) edit.paragraph.focus();
});
main.addEventListener("focusout", ({ target, relatedTarget }) => {
  if (!edit || !(target instanceof Node) || !edit.segment.contains(target)) return;
  if (target === edit.paragraph) edit.cursor = cursorIn(edit.paragraph);
  const stays = relatedTarget instanceof Node && edit.segment.contains(relatedTarget); // on a button of the line
  if (document.hasFocus() && !stays) finish();
  else save(edit); // the person is in another window; the cursor will be here when they come back
});
addEventListener("online", () => { if (edit?.segment.querySelector(".unsaved")) save(edit); });
addEventListener("beforeunload", (event) => { if (edit && !leaving && typed(edit) !== edit.saved) event.preventDefault(); });
addEventListener("pagehide", () => { if (edit && !leaving) save(edit); });
document.addEventListener("sign-in", () => {
  if (!edit || typed(edit) === edit.saved) return;
  keepText(edit.segment, typed(edit));
  leaving = true;
});
goOn();
