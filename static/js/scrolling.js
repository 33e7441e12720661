// Scrolling a line of a long text into view.

const NEAR = 1; // screens; a smooth movement over more does not help the eye, and browsers have not drawn the text there
const SETTLED = 3; // animation frames in which the line must stay where it is
const still = matchMedia("(prefers-reduced-motion: reduce)");
let landing = 0;

/**
 * Scroll the element to the middle of the screen at once. Browsers guess the height of text that they have not drawn yet,
 * so the scrolling is repeated until the element stays.
 * @param {Element} element
 */
export function bringIntoView(element) {
  cancelAnimationFrame(landing);
  let settled = 0, last = NaN;
  const land = () => {
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const { top } = element.getBoundingClientRect();
    settled = Math.abs(top - last) < 1 ? settled + 1 : 0;
    last = top;
    if (settled < SETTLED) landing = requestAnimationFrame(land);
  };
  land();
}

/**
 * Scroll to the next line: smoothly, unless it is far away.
 * @param {Element} element
 */
export function keepInView(element) {
  const { top } = element.getBoundingClientRect();
  if (still.matches || top < -NEAR * innerHeight || top > (1 + NEAR) * innerHeight) {
    bringIntoView(element);
  } else {
    cancelAnimationFrame(landing);
    element.scrollIntoView({ block: "center", behavior: "smooth" });
  }
}

// A person who scrolls meanwhile ends the movement.
for (const gesture of ["wheel", "touchmove", "keydown"]) {
  addEventListener(gesture, () => cancelAnimationFrame(landing), { passive: true, capture: true });
}
