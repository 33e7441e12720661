// What a page with a microphone shows: its notices, one at a time about each thing, and the parts that its phase has.

const given = {}; // about what -> which notice; "" for none

export function notice(about, name, seconds) {
  given[about] = name;
  for (const element of document.querySelectorAll("[data-notice]")) {
    element.hidden = !Object.values(given).includes(element.dataset.notice);
  }
  if (seconds !== undefined) fill(document.querySelector(`[data-notice=${name}]`), seconds);
}

/** A notice in words that the server or the browser has for it. */
export function noticeWords(about, words) {
  document.querySelector("[data-notice=said]").textContent = words;
  notice(about, "said");
}

export const noticed = (about) => given[about];

export function fill(element, seconds, digits = 0) {
  element.querySelector("[data-seconds]").textContent = seconds.toFixed(digits);
}

/** Of the parts that belong to some phases only, those of these. */
export function showParts(phases) {
  for (const element of document.querySelectorAll("[data-when]")) {
    element.hidden = !element.dataset.when.split(" ").some((when) => phases.includes(when));
  }
}
