// Keeps the place of a person who uses the keyboard: where the control under the focus goes away, one near it gets the focus.
import { all, one } from "./dom.js";

const CONTROLS = "a[href], button, input, select, textarea, summary";
/** @type {string[]} ids of the control that has the focus, or had it last, and of all around it, the innermost first */
let place = [];

document.addEventListener("focusin", ({ target }) => {
  if (!(target instanceof Element) || target.closest("dialog, #toast")) return; // from there the person comes back
  place = [];
  for (let element = /** @type {Element | null} */ (target); element; element = element.parentElement) {
    const { id } = element.matches("details") ? one(element, "summary") : element;
    if (id) place.push(id);
  }
});
document.addEventListener("pointerdown", ({ target }) => {
  if (target instanceof Element && !target.closest(CONTROLS)) place = []; // the person left the control
});

/** Focus what is nearest to the last place, if nothing has the focus any more. */
export function keepPlace() {
  const active = document.activeElement;
  if (active && active !== document.body && active.checkVisibility()) return;
  for (const id of place) {
    const around = document.getElementById(id);
    const near = around && [around, ...all(around, CONTROLS)].find((element) => element.tabIndex >= 0 && element.checkVisibility());
    if (near) return near.focus({ preventScroll: true });
  }
}

for (const event of ["htmx:afterSettle", "close"]) document.addEventListener(event, keepPlace, { capture: true });
