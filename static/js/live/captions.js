// Captions on a page: final ones in a log, each once and in order; behind them the tentative one, which is only seen.

/** @import { Caption } from "./protocol.js" */

/** The language to read out and draw a text in, by its script; "" for any other. @param {string} text */
function languageOf(text) {
  if (/[\u3040-\u30ff]/.test(text)) return "ja";
  if (/[\uac00-\ud7af]/.test(text)) return "ko";
  return /[\u3400-\u9fff]/.test(text) ? "zh" : "";
}

export class Captions {
  /** @type {number | null} index of the final caption that comes next; null before the first one */
  next = null;
  /** @type {number | null} index of the tentative caption that is shown */
  #shown = null;
  #log;
  #tentative;
  #line;
  #changed;

  /**
   * @param {HTMLElement} log
   * @param {HTMLElement} tentative
   * @param {(caption: Caption) => HTMLElement} line makes the element of a final caption
   * @param {() => void} changed is called after each change
   */
  constructor(log, tentative, line, changed) {
    this.#log = log;
    this.#tentative = tentative;
    this.#line = line;
    this.#changed = changed;
  }

  /** @param {Caption} caption */
  show(caption) {
    if (caption.state === "final") this.#append(caption);
    else if (this.next === null || caption.index >= this.next) this.#draw(caption);
  }

  /** @param {Caption} caption */
  #append(caption) {
    if (this.next !== null && caption.index < this.next) return;
    this.next = caption.index + 1;
    if (this.#shown !== null && this.#shown <= caption.index) this.clear();
    if (caption.text) {
      const element = this.#line(caption);
      element.lang = languageOf(caption.text);
      element.dir = "auto";
      this.#log.append(element);
    }
    this.#changed();
  }

  /** @param {Caption} caption */
  #draw({ index, text, stable }) {
    this.#shown = index;
    const characters = Array.from(text); // code points, as the server counts them
    const sure = document.createElement("b"), rest = document.createElement("i");
    sure.textContent = characters.slice(0, stable).join("");
    rest.textContent = characters.slice(stable).join("");
    this.#tentative.replaceChildren(sure, rest);
    this.#tentative.lang = languageOf(text);
    this.#changed();
  }

  /** Take the tentative caption away. */
  clear() {
    this.#shown = null;
    this.#tentative.replaceChildren();
  }

  /** Count from the beginning: another session follows in the same log. */
  restart() {
    this.next = null;
    this.clear();
  }
}
