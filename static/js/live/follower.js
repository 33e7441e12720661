// A box of captions stays at its newest line, unless somebody scrolls back in it; a button returns.

export class Follower {
  #following = true;

  constructor(box, button) {
    Object.assign(this, { box, button });
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

  follow() {
    if (this.#following) this.box.scrollTop = this.box.scrollHeight;
    this.button.hidden = this.#following;
  }
}
