// The player stays on the screen: it lies at the foot of a telephone's screen, and of every screen once its place in the page
// is scrolled away.
import { byId } from "./dom.js";

const place = byId("player-place"), player = byId("player");

/** Tell the stylesheet how much of the screen's foot the player covers. */
function tell() {
  const covered = getComputedStyle(player).position === "fixed" ? player.offsetHeight : 0;
  document.documentElement.style.setProperty("--covered", `${covered}px`);
}

new IntersectionObserver(([{ boundingClientRect: { top } }]) => {
  const away = top < 0;
  if (away === player.classList.contains("afloat")) return;
  if (away) place.style.setProperty("--kept", `${player.offsetHeight}px`); // the text does not move
  player.classList.toggle("afloat", away);
  tell();
}, { threshold: [0, 0.5, 1] }).observe(place);
new ResizeObserver(tell).observe(player);
addEventListener("resize", tell);
