// A segment's correction at the server: putting one there, and going back to the machine's text.
import { around, byId, data, one } from "./dom.js";
import { refresh } from "./events.js";
import { note } from "./note.js";
import { send, signIn } from "./requests.js";
import { root } from "./server.js";
import { say } from "./toast.js";

/**
 * @typedef {{ text: string, version: number }} Theirs the segment as the server has it, where somebody else has changed it
 *
 * @typedef {object} Answer
 * @property {number} status 0 where no answer came
 * @property {boolean} signedOut
 * @property {{ version?: number, machine_text?: string | null, segment?: Theirs }} body
 * @property {string} words why it failed
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
  const answer = await send(`${root}/api/recordings/${recording}/segments/${index}`, {
    method: "PATCH",
    keepalive: true, // also when the page is left
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text, version: Number(version), transcription: Number(transcription) }),
  });
  const { signedOut, words } = answer, body = parsed(answer.body), status = body ? answer.status : 0;
  if (status === 200) segment.dataset.version = body.version;
  return { status, signedOut, body: body ?? {}, words };
}

/** What a JSON text says; null for another text, as a proxy answers. @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const whyNot = (/** @type {Answer} */ { words }) => `${data(note, "failed")} ${words}`;

/** Put the machine's text in place of a correction; “Undo” brings the correction back. @param {HTMLElement} segment */
async function bringBack(segment) {
  const correction = one(segment, "p").textContent;
  const replace = async (/** @type {string | null} */ text) => {
    const answer = await correct(segment, text);
    if (answer.signedOut) signIn();
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
