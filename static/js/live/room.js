// The choice of a person whose captions would have to wait: start all the same, or only record.
import { all, byId, data, one } from "../dom.js";
import { fill } from "./notices.js";

const PATIENCE = 2_000; // ms for the server's answer; without one the session starts
const CARRIED = "record-only";

/**
 * Ask the person, unless captions can begin at once.
 * @returns {Promise<string>} "wait": start; "record": without captions; "": neither
 */
export async function choice() {
  const { state, seconds } = await room();
  if (state === "free") return "wait";
  const dialog = byId("room", HTMLDialogElement);
  for (const why of all(dialog, "[data-why]")) why.hidden = why.dataset.why !== state;
  fill(one(dialog, "[data-why=busy]"), seconds);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue);
  });
}

/** @returns {Promise<{ state: string, seconds: number }>} */
async function room() {
  try {
    const answer = await fetch(data(byId("live"), "room"), { signal: AbortSignal.timeout(PATIENCE), redirect: "error" });
    if (answer.ok) return await answer.json();
  } catch {
    // the session may begin later all the same
  }
  return { state: "free", seconds: 0 };
}

/**
 * What a person has typed on the page “Live” before going on to “Record”.
 * @typedef {{ title: string, language: string, prompt: string }} Fields
 */

/** Go on to the page “Record”, which starts at once. @param {Fields} fields */
export function recordOnly(fields) {
  sessionStorage.setItem(CARRIED, JSON.stringify(fields)); // and not the address: no link may start a microphone
  location.assign(data(byId("live"), "record"));
}

/** What this window's page “Live” has handed over, once. @returns {Fields | null} */
export function carried() {
  const fields = sessionStorage.getItem(CARRIED);
  sessionStorage.removeItem(CARRIED);
  return fields ? JSON.parse(fields) : null;
}
