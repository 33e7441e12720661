// Correcting the text where it stands. What is typed is saved by itself; what cannot be saved stays in the line.
import { caretAt } from "./caret.js";
import { refresh } from "./events.js";
import { root } from "./root.js";
import { say } from "./toast.js";

const TYPING_ENDS = 800; // ms
const told = document.getElementById("saved");
const words = told.dataset;
let edit = null; // the one line that is being edited

const typed = () => edit.paragraph.innerText.trim();
const fresh = () => refresh("text", 0);

/** Resolves to the answer's status, 0 where there is none, and its body. */
async function put(segment, text) {
  const { recording, transcription } = document.getElementById("text").dataset;
  const { index, version } = segment.dataset;
  try {
    const answer = await fetch(`${root}/api/recordings/${recording}/segments/${index}`, {
      method: "PATCH",
      keepalive: true, // also when the page is left
      headers: { "Content-Type": "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) },
      body: JSON.stringify({ text, version: Number(version), transcription: Number(transcription) }),
    });
    return { status: answer.status, body: await answer.json() };
  } catch { // no connection, or a proxy's answer
    return { status: 0, body: {} };
  }
}

const whyNot = ({ body }) => `${words.failed} ${body.error?.message ?? ""}`.trim();

/** Begin at the point of a double click, else at the end. Where another line cannot be saved, that one stays open. */
export async function begin(segment, point = null) {
  if (!segment?.querySelector(".edit") || segment === edit?.segment || !(await finish())) return;
  const paragraph = segment.querySelector("p");
  const before = paragraph.textContent.trim();
  const corrected = segment.hasAttribute("data-corrected");
  edit = { segment, paragraph, before, corrected, saved: before, nodes: [...paragraph.childNodes], changed: false };
  document.getElementById("audio").pause();
  told.textContent = "";
  segment.classList.add("editing");
  paragraph.textContent = before;
  paragraph.contentEditable = "plaintext-only";
  paragraph.role = "textbox";
  paragraph.ariaMultiLine = "true";
  paragraph.ariaLabel = words.label;
  paragraph.focus();
  const caret = point && caretAt(point);
  if (caret && paragraph.contains(caret.node)) getSelection().collapse(caret.node, caret.offset);
  else getSelection().selectAllChildren(paragraph), getSelection().collapseToEnd();
}

function end() {
  const { segment, paragraph, nodes, changed, timer } = edit;
  clearTimeout(timer);
  edit = null;
  const held = segment.contains(document.activeElement);
  segment.classList.remove("editing");
  segment.querySelector(".unsaved")?.remove();
  for (const name of ["contenteditable", "role", "aria-multiline", "aria-label"]) paragraph.removeAttribute(name);
  if (!changed) paragraph.replaceChildren(...nodes);
  if (held) segment.querySelector(".edit").focus();
  fresh(); // what came meanwhile had to wait
}

/** Save what is typed, then end. Resolves to false where it cannot be saved: the line then stays open. */
export async function finish() {
  const mine = edit;
  if (mine && !(await save())) return false;
  if (mine && edit === mine) end();
  return true;
}

/** Resolves to whether the server has what stands in the line. One request at a time: the last one sent is the last. */
async function save() {
  const mine = edit;
  clearTimeout(mine.timer);
  while (edit === mine && typed() !== mine.saved) {
    if (mine.theirs) return false; // the person decides first
    mine.sending ??= send(mine, typed()).finally(() => { mine.sending = null; });
    if (!(await mine.sending)) return false;
  }
  return true;
}

async function send(mine, text) {
  const { segment, before, corrected } = mine;
  told.textContent = words.saving;
  const machine = text === before && !corrected; // no correction then, not one that says the same
  const answer = await put(segment, machine ? null : text);
  const { status, body } = answer;
  if (status === 200) {
    segment.dataset.version = body.version;
    segment.toggleAttribute("data-corrected", body.machine_text !== null);
    mine.saved = text;
    mine.changed = true;
    segment.querySelector(".unsaved")?.remove();
    const time = new Date().toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" });
    told.textContent = words.saved.replace("{time}", time);
    return true;
  }
  told.textContent = "";
  if (status === 409) {
    mine.theirs = body.segment;
    ask(segment, "conflict").querySelector("blockquote").textContent = body.segment.text;
  } else {
    ask(segment, "unsaved").querySelector("p").textContent = whyNot(answer);
  }
  return false;
}

function ask(segment, kind) {
  segment.querySelector(".unsaved")?.remove();
  segment.append(document.getElementById(kind).content.cloneNode(true));
  return segment.lastElementChild;
}

const answers = {
  retry: finish,
  keep() {
    edit.segment.dataset.version = edit.theirs.version;
    edit.theirs = edit.saved = null;
    return finish();
  },
  take() {
    edit.changed = true; // the text there now is theirs
    end();
  },
};

/** Back to how the text was when the edit began, also where some of it was saved. */
function revert() {
  if (edit.theirs) return answers.take();
  edit.paragraph.textContent = edit.before;
  return finish();
}

/** The machine's text again instead of a person's, which can be had back. */
async function bringBack(segment) {
  const text = segment.querySelector("p").textContent;
  const answer = await put(segment, null);
  fresh();
  if (answer.status !== 200) return say(answer.status === 409 ? words.changed : whyNot(answer));
  segment.dataset.version = answer.body.version;
  say(words.back, async (undone) => {
    if (!undone) return;
    const again = await put(segment, text);
    fresh();
    if (again.status !== 200) say(again.status === 409 ? words.changed : whyNot(again));
  });
}

const main = document.getElementById("main");
main.addEventListener("dblclick", (event) => {
  if (event.target.closest(".segment p")) begin(event.target.closest(".segment"), event);
});
main.addEventListener("click", (event) => {
  const segment = event.target.closest(".segment");
  if (event.target.closest(".edit")) begin(segment);
  if (event.target.closest(".back")) bringBack(segment);
  answers[event.target.closest(".unsaved [data-do]")?.dataset.do]?.();
});
main.addEventListener("input", (event) => {
  if (event.target !== edit?.paragraph) return;
  clearTimeout(edit.timer);
  edit.timer = setTimeout(save, TYPING_ENDS);
});
main.addEventListener("keydown", (event) => {
  if (event.target !== edit?.paragraph || event.isComposing) return; // Enter and Escape are the input method's then
  if (event.key === "Escape") revert();
  else if (event.key === "Enter" && !event.shiftKey) finish();
  else return;
  event.preventDefault();
});
main.addEventListener("focusout", (event) => {
  if (event.target !== edit?.paragraph) return;
  if (document.hasFocus()) finish();
  else save(); // only another window has the focus: the cursor will be here again
});
addEventListener("beforeunload", (event) => { if (edit && typed() !== edit.saved) event.preventDefault(); });
addEventListener("pagehide", () => { if (edit) save(); });
