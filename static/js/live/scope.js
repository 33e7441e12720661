// The living waveform of a microphone: a bar for each 100 ms, the newest at the end.

const BAR = 3, STEP = 6; // px: the width of a bar, and from one to the next
const SOFTEST = 0.02; // part of the height: silence is a row of dots
const EVERY = 100; // ms from one bar to the next
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Scope {
  /** Loudness of the bars, from 0 to 1, the newest last. @type {number[]} */
  #bars = [];
  #count = 0; // of all bars since the beginning
  #cameAt = 0;
  #frame = 0;
  #canvas;
  #pen;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    new ResizeObserver(() => this.#fit()).observe(canvas);
  }

  /** @param {number} part loudness from 0 to 1 */
  push(part) {
    this.#count++;
    this.#bars.push(part);
    this.#bars.splice(0, this.#bars.length - this.#room);
    this.#cameAt = performance.now();
    if (!this.#frame) this.#frame = requestAnimationFrame(this.#draw);
  }

  clear() {
    this.#bars = [];
    this.#count = 0;
    if (!this.#frame) this.#frame = requestAnimationFrame(this.#draw);
  }

  /** The number of bars that are seen, and one that is on its way out. */
  get #room() {
    return Math.ceil(this.#canvas.clientWidth / STEP) + 1;
  }

  #fit() {
    const { clientWidth, clientHeight } = this.#canvas;
    this.#canvas.width = clientWidth * devicePixelRatio;
    this.#canvas.height = clientHeight * devicePixelRatio;
    this.#draw();
  }

  /** The bars move while new ones come. For people who want no motion each new bar takes the oldest one's place. */
  #draw = () => {
    this.#frame = 0;
    const { clientWidth: width, clientHeight: height } = this.#canvas, pen = this.#pen, room = this.#room;
    const passed = (performance.now() - this.#cameAt) / EVERY;
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    pen.beginPath();
    this.#bars.forEach((part, place) => {
      const age = this.#bars.length - 1 - place, number = this.#count - 1 - age;
      const x = still.matches ? (number % room) * STEP : width - (age + Math.min(1, passed)) * STEP;
      const size = Math.max(BAR, Math.max(SOFTEST, part) * height);
      pen.roundRect(x, (height - size) / 2, BAR, size, BAR / 2);
    });
    pen.fill();
    if (!still.matches && passed < 1 && this.#bars.length) this.#frame = requestAnimationFrame(this.#draw);
  };
}
