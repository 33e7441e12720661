// A segment's correction at the server: putting one there, and going back to the machine's text.
import { around, byId, data, one } from "./dom.js";
import { refresh } from "./events.js";
import { note } from "./note.js";
import { csrfHeader, root } from "./server.js";
import { say } from "./toast.js";

/**
 * @typedef {{ text: string, version: number }} Theirs the segment as the server has it, where somebody else has changed it
 *
 * @typedef {object} Answer
 * @property {number} status 0 where no answer came
 * @property {{ version?: number, machine_text?: string | null, segment?: Theirs, error?: { message: string } }} body
 */

export const refreshText = () => refresh("text", 0);

/**
 * Change a segment's text. A success leaves its new version in the element.
 * @param {HTMLElement} segment
 * @param {string | null} text null for the machine's
 * @returns {Promise<Answer>}
 */
export async function correct(segment, text) {
  const { recording, transcription } = byId("text").dataset;
  const { index, version } = segment.dataset;
  try {
    const answer = await fetch(`${root}/api/recordings/${recording}/segments/${index}`, {
      method: "PATCH",
      keepalive: true, // also when the page is left
      headers: { "Content-Type": "application/json", ...csrfHeader() },
      body: JSON.stringify({ text, version: Number(version), transcription: Number(transcription) }),
    });
    const { status } = answer, body = await answer.json();
    if (status === 200) segment.dataset.version = body.version;
    return { status, body };
  } catch { // no connection, or a proxy's answer
    return { status: 0, body: {} };
  }
}

export const whyNot = (/** @type {Answer} */ { body }) => `${data(note, "failed")} ${body.error?.message ?? ""}`.trim();

/** Put the machine's text in place of a correction; “Undo” brings the correction back. @param {HTMLElement} segment */
async function bringBack(segment) {
  const correction = one(segment, "p").textContent;
  const replace = async (/** @type {string | null} */ text) => {
    const answer = await correct(segment, text);
    refreshText();
    if (answer.status !== 200) say(answer.status === 409 ? data(note, "changed") : whyNot(answer));
    return answer.status === 200;
  };
  if (await replace(null)) say(data(note, "back"), (undone) => undone && replace(correction));
}

byId("main").addEventListener("click", (event) => {
  const segment = around(event, ".back") && around(event, ".segment");
  if (segment) bringBack(segment);
});
