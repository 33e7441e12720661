// Follows the gate's snapshot: every element with data-field shows that field of it.
import { connect } from "./socket.js";

const STALE = 10_000; // ms without a snapshot
const DRAWN = 32; // cells; more are told in numbers only
const STATES = ["closed", "half-open", "open"]; // of a breaker
const monitor = document.getElementById("monitor");
const freshness = monitor.querySelector(".freshness");
const cells = monitor.querySelector(".cells");
let last = Date.now(), ended = false;

const at = (object, path) => path.split(".").reduce((value, key) => value?.[key], object);

function text(value) {
  if (value === null || value === undefined) return "–";
  if (STATES.includes(value)) return monitor.getAttribute(`data-${value}`);
  return /^\d{4}-\d\d-\d\dT/.test(value) ? new Date(value).toLocaleString(document.documentElement.lang) : String(value);
}

function show(stats) {
  last = Date.now();
  for (const element of monitor.querySelectorAll("[data-field]")) {
    const row = element.closest("[data-row]");
    const value = at(row ? at(stats, row.dataset.row) : stats, element.dataset.field);
    element.textContent = element.dataset.field === "max_concurrent" && value === null ? "auto" : text(value);
  }
  cells.replaceChildren(...Array.from({ length: Math.min(stats.limit, DRAWN) }, (_, number) => {
    const cell = document.createElement("span");
    cell.className = number < stats.active_tasks ? "cell busy" : "cell";
    return cell;
  }));
  const held = stats.max_concurrent === null || stats.peak <= stats.max_concurrent;
  monitor.querySelector(".held").hidden = !held;
  monitor.querySelector(".broken").hidden = held;
  tellAge();
}

function tellAge() {
  const stale = ended || Date.now() - last > STALE;
  monitor.classList.toggle("stale", stale);
  const since = new Date(last).toLocaleTimeString(document.documentElement.lang);
  freshness.textContent = ended ? freshness.dataset.ended : stale ? `${freshness.dataset.stale} ${since}` : `${freshness.dataset.live} · ${since}`;
}

connect("/ws/monitor", show, (_open, code) => {
  ended = [4401, 4403].includes(code);
  tellAge();
});
setInterval(tellAge, 1000);
