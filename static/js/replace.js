// The dialog “Replace in this recording”: it shows every match before anything is replaced, and all can be taken back.
import { clock } from "./clock.js";
import { byId, data, one } from "./dom.js";
import { keepDraft, takeDraft } from "./drafts.js";
import { finish } from "./edit.js";
import { keptWords } from "./requests.js";
import { ask, change, offerUndo } from "./undo.js";

/**
 * @typedef {{ start: number, before: string, found: string, after: string }} Match
 * @typedef {{ count: number, segments: number, items: Match[] }} Matches
 */

const PAUSE = 250; // ms without typing, after which the matches are asked for
const dialog = byId("replace", HTMLDialogElement), form = one(dialog, "form", HTMLFormElement);
const find = one(form, "[name=find]", HTMLInputElement), by = one(form, "[name=replace]", HTMLInputElement);
const matchCase = one(form, "[name=match_case]", HTMLInputElement), whole = one(form, "[name=whole_words]", HTMLInputElement);
const count = one(form, "output"), list = one(form, "ul"), problem = one(form, ".problem"), submit = one(form, ".primary", HTMLButtonElement);
let timer = 0, asked = 0;

/** Open it, with what is sought already. */
export async function openReplace() {
  if (!(await finish())) return;
  find.value = byId("find", HTMLInputElement).value.trim() || find.value;
  dialog.showModal();
  (find.value ? by : find).select();
  preview();
}

const sought = () => ({
  find: find.value.trim(),
  match_case: matchCase.checked,
  whole_words: whole.checked,
  transcription: Number(data(byId("text"), "transcription")),
});

async function preview() {
  const number = ++asked, { find: text, ...rest } = sought();
  if (!text) return show({ count: 0, segments: 0, items: [] });
  const answer = await ask(`matches?${new URLSearchParams({ find: text, ...mapped(rest) })}`);
  if (number !== asked) return;
  problem.hidden = answer.ok;
  problem.textContent = answer.words;
  show(answer.ok ? JSON.parse(answer.body) : { count: 0, segments: 0, items: [] });
}

/** @param {Record<string, unknown>} values */
const mapped = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

/** @param {Matches} matches */
function show({ count: found, segments, items }) {
  submit.disabled = !found;
  count.textContent = find.value.trim()
    && (found ? data(count, "found").replace("{n}", String(found)).replace("{m}", String(segments)) : data(count, "none"));
  list.replaceChildren(...items.map(({ start, before, found: text, after }) => {
    const item = document.createElement("li");
    const stamp = Object.assign(document.createElement("span"), { className: "num", textContent: clock(start) });
    const old = Object.assign(document.createElement("del"), { textContent: text });
    item.append(stamp, ` ${before}`, old, Object.assign(document.createElement("ins"), { textContent: by.value }), after);
    return item;
  }));
}

form.addEventListener("input", ({ target }) => {
  if (target === by) {
    for (const inserted of list.querySelectorAll("ins")) inserted.textContent = by.value;
    return;
  }
  submit.disabled = true; // until the matches of what is sought now are shown
  clearTimeout(timer);
  timer = setTimeout(preview, PAUSE);
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { ok, body, words } = await change("POST", "replace", { ...sought(), replace: by.value });
  problem.hidden = ok;
  problem.textContent = words;
  if (!ok) return;
  dialog.close();
  const answer = JSON.parse(body);
  if (answer.undo) offerUndo(data(form, "done").replace("{n}", answer.count), answer.undo);
});
byId("replacer").addEventListener("click", openReplace);

const { recording } = byId("text").dataset;
document.addEventListener("sign-in", () => {
  if (dialog.open) keepDraft("replace", { recording, ...sought(), by: by.value });
});
const draft = takeDraft("replace", (kept) => kept.recording === recording);
if (draft) {
  [find.value, by.value, matchCase.checked, whole.checked] = [draft.find, draft.by, draft.match_case, draft.whole_words];
  dialog.showModal();
  preview().then(() => {
    problem.textContent ||= keptWords;
    problem.hidden = false;
  });
}
