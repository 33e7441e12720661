// Bringing a line into view, wherever in a long text it is.

const NEAR = 1; // screens: as far as a movement helps the eye to follow, and browsers have drawn the text
const SETTLED = 3; // frames in which the line stays where it is
const still = matchMedia("(prefers-reduced-motion: reduce)");
let landing = 0;

/** To the middle of the screen, at once. What is out of sight has only a guessed height, and gets its own when it is drawn: so
 *  the line is gone to again until it stays. */
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

/** The same of a line that follows the one before: smoothly, unless it is far away. */
export function keepInView(element) {
  const { top } = element.getBoundingClientRect();
  if (still.matches || top < -NEAR * innerHeight || top > (1 + NEAR) * innerHeight) return bringIntoView(element);
  cancelAnimationFrame(landing);
  element.scrollIntoView({ block: "center", behavior: "smooth" });
}

// Whoever scrolls meanwhile decides.
for (const gesture of ["wheel", "touchmove", "keydown"]) {
  addEventListener(gesture, () => cancelAnimationFrame(landing), { passive: true, capture: true });
}
