// What goes wrong for a while in a live session. It is seen as long as it lasts. A screen reader is told when it begins, when it
// gets worse and when it is over, and hears none of the changes between: they come once a second and more.
import { all, byId, data, one } from "../dom.js";
import { fill } from "./notices.js";

const OVER = 3_000; // ms without trouble, after which it is over; trouble that comes sooner is the same one
const SHOWN = 5_000; // ms for which the page says that it is over

const shown = all(document, "[data-trouble]");
const said = byId("said");

export class Outage {
  /** The trouble of each subject. @type {Map<string, string>} */
  #now = new Map();
  #kinds;
  #told = -1; // place in #kinds of the worst that was told since it began; -1: none
  #end = 0;

  /** @param {string[]} kinds names of the page's [data-trouble], the worst one last */
  constructor(kinds) {
    this.#kinds = kinds;
  }

  /**
   * Note the trouble of a subject, in place of the one before.
   * @param {string} about the subject, such as "captions"
   * @param {string} kind "" for none
   * @param {number} [seconds] to write into the notice
   */
  set(about, kind, seconds) {
    this.#now.set(about, kind);
    if (kind && seconds !== undefined) fill(one(document, `[data-trouble=${kind}]`), Math.max(0, seconds));
    const worst = Math.max(...[...this.#now.values()].map((each) => this.#kinds.indexOf(each)));
    if (worst >= 0) {
      this.#goOn(worst);
    } else if (this.#told >= 0 && !this.#end) {
      show("");
      this.#end = setTimeout(() => this.#over(), OVER);
    }
  }

  /** Whether this is the trouble that is shown. @param {string} kind */
  is(kind) {
    return shown.some((element) => element.dataset.trouble === kind && !element.hidden);
  }

  /** The session has ended, and with it all trouble. */
  forget() {
    this.#now.clear();
    this.#told = -1;
    clearTimeout(this.#end);
    this.#end = 0;
    show("");
  }

  /** @param {number} worst */
  #goOn(worst) {
    clearTimeout(this.#end);
    this.#end = 0;
    const element = show(this.#kinds[worst]);
    if (worst <= this.#told) return;
    this.#told = worst;
    if (element) said.textContent = data(element, "said");
  }

  #over() {
    this.#told = -1;
    const element = show("over");
    if (element) said.textContent = element.textContent;
    this.#end = setTimeout(() => this.forget(), SHOWN);
  }
}

/** Show one of the notices, "" for none, and return it. @param {string} kind */
function show(kind) {
  if (!kind) said.textContent = "";
  for (const element of shown) element.hidden = element.dataset.trouble !== kind;
  return shown.find((element) => element.dataset.trouble === kind);
}
