// Changes of several segments at once, which the server can take back.
import { byId, data } from "./dom.js";
import { note } from "./note.js";
import { act } from "./requests.js";
import { root } from "./server.js";
import { refreshText } from "./corrections.js";
import { say } from "./toast.js";

const address = () => `${root}/api/recordings/${data(byId("text"), "recording")}`;

/**
 * Send such a change; a success shows the new text.
 * @param {"POST" | "PUT"} method
 * @param {string} path below the recording's
 * @param {object} body
 */
export async function change(method, path, body) {
  const answer = await act(`${address()}/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.ok) refreshText();
  return answer;
}

/**
 * Ask the server what it would do.
 * @param {string} path below the recording's, with the query
 */
export const ask = (path) => act(`${address()}/${path}`, {});

/**
 * Tell that the change is made, and offer to take it back.
 * @param {string} sentence
 * @param {string} undo as the server's answer gave it
 */
export function offerUndo(sentence, undo) {
  say(sentence, async (undone) => {
    if (!undone) return;
    const { ok, words } = await change("POST", "undo", { undo });
    say(ok ? data(note, "undone") : words);
  });
}
