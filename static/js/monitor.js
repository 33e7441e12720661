// The monitor's figures: each element with data-field shows that field of the gate's latest snapshot.
import { all, byId, data, one } from "./dom.js";
import { Connection } from "./socket.js";

/** @typedef {{ limit: number, active_tasks: number, max_concurrent: number | null, peak: number }} Snapshot with more fields */

const STALE = 10_000; // ms without a snapshot
const DRAWN = 32; // permits that are drawn as cells, at most
const STATES = ["closed", "half-open", "open", "none", "unproven", "confirmed", "refuted"]; // their words are attributes
const CEILINGS = ["max_concurrent", "ceiling"]; // null: any number
const SIGNED_OUT = 4401, FORBIDDEN = 4403; // close codes
const monitor = byId("monitor");
const freshness = one(monitor, ".freshness");
const cells = one(monitor, ".cells");
const language = document.documentElement.lang;
let last = Date.now(), ended = false;

/**
 * A value inside the snapshot.
 * @param {any} object
 * @param {string} path names with dots between them, such as "servers.0.limit"
 * @returns {unknown}
 */
const at = (object, path) => path.split(".").reduce((value, key) => value?.[key], object);

/** @param {{ low: number, high: number, percent: number, error: number }} gain */
const gain = ({ low, high, percent, error }) => `${low}→${high} ${percent} % ±${error}`;

/** @param {unknown} value */
function text(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(gain).join("\n") || "–";
  const words = String(value);
  if (STATES.includes(words)) return monitor.getAttribute(`data-${words}`);
  return /^\d{4}-\d\d-\d\dT/.test(words) ? new Date(words).toLocaleString(language) : words;
}

/** @param {Snapshot} stats */
function show(stats) {
  last = Date.now();
  for (const element of all(monitor, "[data-field]")) {
    const { field } = element.dataset;
    const path = [element.closest("[data-row]")?.getAttribute("data-row"), field].filter(Boolean).join(".");
    const value = at(stats, path);
    element.textContent = CEILINGS.includes(field ?? "") && value === null ? "auto" : text(value);
  }
  cells.replaceChildren(...Array.from({ length: Math.min(stats.limit, DRAWN) }, (_, number) => {
    const cell = document.createElement("span");
    cell.className = number < stats.active_tasks ? "cell busy" : "cell";
    return cell;
  }));
  const held = stats.max_concurrent === null || stats.peak <= stats.max_concurrent;
  one(monitor, ".held").hidden = !held;
  one(monitor, ".broken").hidden = held;
  showAge();
}

function showAge() {
  const stale = ended || Date.now() - last > STALE;
  const since = new Date(last).toLocaleTimeString(language);
  monitor.classList.toggle("stale", stale);
  if (ended) freshness.textContent = data(freshness, "ended");
  else freshness.textContent = stale ? `${data(freshness, "stale")} ${since}` : `${data(freshness, "live")} · ${since}`;
}

new Connection(() => "/ws/monitor", {
  onMessage(/** @type {Snapshot | { type: "error" }} */ message) {
    if (!("type" in message)) show(message); // the close after an error says the same by its code
  },
  onState(_open, code) {
    ended = code === SIGNED_OUT || code === FORBIDDEN;
    showAge();
  },
});
setInterval(showAge, 1000);
