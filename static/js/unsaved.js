// An edit that is not saved: the question below its segment, and its text while the person signs in again.
import { appendCopy, byId, one } from "./dom.js";
import { keepDraft, takeDraft } from "./drafts.js";

/**
 * Say below the segment why it is not saved, with buttons for what the person can do.
 * @param {HTMLElement} segment
 * @param {"conflict" | "unsaved"} template
 */
export function ask(segment, template) {
  const asked = segment.querySelector(".unsaved");
  if (asked instanceof HTMLElement && asked.dataset.kind === template) return asked; // a person may be pressing its button
  asked?.remove();
  const question = appendCopy(template, segment);
  question.dataset.kind = template;
  return question;
}

/**
 * Keep the text that was typed into a segment.
 * @param {HTMLElement} segment
 * @param {string} text
 */
export function keepText(segment, text) {
  const { recording, transcription } = byId("text").dataset, { index, version } = segment.dataset;
  keepDraft("segment", { recording, transcription, index, version, text });
}

/**
 * The text that was kept, and the segment for it. A text that has no place any more is shown below the others.
 * @returns {{ segment: HTMLElement, text: string } | null}
 */
export function keptText() {
  const { recording, transcription } = byId("text").dataset;
  const draft = takeDraft("segment", (kept) => kept.recording === recording);
  if (!draft) return null;
  const segment = draft.transcription === transcription ? document.getElementById(`segment-${draft.index}`) : null;
  if (segment?.querySelector(".edit")) {
    segment.dataset.version = draft.version; // a change by somebody else meanwhile is a conflict
    return { segment, text: draft.text };
  }
  one(appendCopy("homeless", byId("main")), "blockquote").textContent = draft.text;
  return null;
}
