// Captions on a page: finals in the log, each once and in order; the tentative one after them, for eyes only.

/** The language to read and draw a text in, by its script. */
function languageOf(text) {
  if (/[\u3040-\u30ff]/.test(text)) return "ja";
  if (/[\uac00-\ud7af]/.test(text)) return "ko";
  return /[\u3400-\u9fff]/.test(text) ? "zh" : "";
}

export class Captions {
  next = null; // the index of the final caption that comes next; null: none has come
  #shown = null; // the index of the tentative one

  /** `line(caption)` makes the element of a final one. `changed()` is called after each change. */
  constructor(log, tentative, line, changed = () => {}) {
    Object.assign(this, { log, tentative, line, changed });
  }

  show(caption) {
    if (caption.state === "final") this.#settle(caption);
    else if (this.next === null || caption.index >= this.next) this.#draw(caption);
  }

  #settle(caption) {
    if (this.next !== null && caption.index < this.next) return;
    this.next = caption.index + 1;
    if (this.#shown !== null && this.#shown <= caption.index) this.#clear();
    if (caption.text) { // what turned out to be nothing has none
      const element = this.line(caption);
      element.lang = languageOf(caption.text);
      element.dir = "auto";
      this.log.append(element);
    }
    this.changed();
  }

  #draw(caption) {
    this.#shown = caption.index;
    const characters = Array.from(caption.text); // as the server counts them, not in UTF-16
    const [stable, rest] = [document.createElement("b"), document.createElement("i")];
    stable.textContent = characters.slice(0, caption.stable).join("");
    rest.textContent = characters.slice(caption.stable).join("");
    this.tentative.replaceChildren(stable, rest);
    this.tentative.lang = languageOf(caption.text);
    this.changed();
  }

  #clear() {
    this.#shown = null;
    this.tentative.replaceChildren();
  }

  /** Another session begins. */
  restart() {
    this.next = null;
    this.#clear();
  }
}
