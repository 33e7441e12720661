// Scrolling with the captions.

/** Keeps a box at its newest line until a person scrolls back in it. A button goes to the newest line again. */
export class Follower {
  #following = true;
  #box;
  #button;

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} button
   */
  constructor(box, button) {
    this.#box = box;
    this.#button = button;
    box.addEventListener("scroll", () => {
      const line = parseFloat(getComputedStyle(box).lineHeight);
      this.#following = box.scrollHeight - box.clientHeight - box.scrollTop < line / 2;
      button.hidden = this.#following;
    });
    button.onclick = () => {
      this.#following = true;
      this.follow();
      box.focus();
    };
    new ResizeObserver(() => this.follow()).observe(box);
  }

  /** The text has grown. */
  follow() {
    if (this.#following) this.#box.scrollTop = this.#box.scrollHeight;
    this.#button.hidden = this.#following;
  }
}
