// What a page with a microphone shows at a time: its notices, one for each subject, and the parts that belong to its phase.
import { all, one } from "../dom.js";

/** Name of the notice for each subject; "" for none. @type {Record<string, string>} */
const given = {};

/**
 * Show a notice of the page, in place of the one before about the same subject.
 * @param {string} about the subject, such as "microphone"
 * @param {string} name of the notice; "" for none
 * @param {number} [seconds] to write into the notice
 */
export function notice(about, name, seconds) {
  given[about] = name;
  for (const element of all(document, "[data-notice]")) {
    element.hidden = !Object.values(given).includes(element.dataset.notice ?? "");
  }
  if (seconds !== undefined) fill(one(document, `[data-notice=${name}]`), seconds);
}

/**
 * Show a notice in the server's or the browser's own words.
 * @param {string} about
 * @param {string} words
 */
export function noticeWords(about, words) {
  one(document, "[data-notice=said]").textContent = words;
  notice(about, "said");
}

/** Name of the notice that is shown about a subject. @param {string} about */
export const noticed = (about) => given[about];

/**
 * Write a number of seconds into its place in an element.
 * @param {HTMLElement} element
 * @param {number} seconds
 * @param {number} digits behind the point
 */
export function fill(element, seconds, digits = 0) {
  one(element, "[data-seconds]").textContent = seconds.toFixed(digits);
}

/** Show the parts whose `data-when` names one of these phases, and hide the others. @param {string[]} phases */
export function showParts(phases) {
  document.body.dataset.phase = phases.join(" "); // a recording under way takes the whole screen
  for (const element of all(document, "[data-when]")) {
    element.hidden = !element.dataset.when?.split(" ").some((when) => phases.includes(when));
  }
}
