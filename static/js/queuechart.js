// The monitor's history: a chart of the gate over time with the same as a table, the limit's changes, and what was found of
// the Whisper servers. All of it is asked for again every few seconds.
import uPlot from "../vendor/uplot/dist/uPlot.esm.js";
import { byId, data, one } from "./dom.js";

/**
 * @typedef {[at: number, limit: number | null, active: number | null, queued: number | null, calls: number | null]} Row
 * @typedef {{ rows: Row[], changes: [at: number, ...string[]][], findings?: string[][] }} History times in s since 1970
 */

const EVERY = 5_000; // ms
const HEIGHT = 220; // px
const MINUTES = [1, 2, 5, 15, 30, 60, 120, 180, 360].map((count) => count * 60); // s between two times on the axis
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]; // between two numbers on the axis
const section = byId("chart");
const holder = one(section, ".plot");
const rowsBody = one(section, ".rows"), changesBody = one(section, ".changes"), findingsBody = one(document, ".findings");
const dark = matchMedia("(prefers-color-scheme: dark)");
const language = document.documentElement.lang;
/** @type {uPlot | null} */
let plot = null;
/** @type {uPlot.AlignedData} a list of values for each column of the rows */
let columns = [[], [], [], [], []];

const moment = (/** @type {number} */ seconds) => new Date(seconds * 1000).toLocaleTimeString(language);
const minute = (/** @type {number} */ seconds) => new Date(seconds * 1000).toLocaleTimeString(language, { timeStyle: "short" });

/** @type {uPlot.Series.Value} */
const number = (_plot, value) => value ?? "–";

function draw() {
  const style = getComputedStyle(section);
  const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { stroke: color("--body-fg"), grid: { stroke: color("--hairline-color"), width: 1 }, ticks: { show: false } };
  const paths = uPlot.paths.stepped?.({ align: 1 });
  plot?.destroy();
  plot = new uPlot({
    width: holder.clientWidth,
    height: HEIGHT,
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(2, high) * 1.1] } },
    axes: [{ ...axis, values: (_plot, ticks) => ticks.map(minute), space: 80, incrs: MINUTES }, { ...axis, size: 40, incrs: COUNTS }],
    series: [
      { label: data(section, "when"), value: (_plot, seconds) => (typeof seconds === "number" ? moment(seconds) : "–") },
      { label: data(section, "limit"), value: number, stroke: color("--chart-limit"), width: 2, dash: [6, 4], paths },
      { label: data(section, "active"), value: number, stroke: color("--chart-active"), width: 2, paths },
      { label: data(section, "queued"), value: number, stroke: color("--chart-queued"), fill: color("--chart-area"), width: 1 },
      { label: data(section, "calls"), value: number, stroke: color("--chart-queued"), dash: [2, 3], width: 1 },
    ],
  }, columns, holder);
}

/**
 * @param {HTMLElement} body of a table
 * @param {(string | number | null)[][]} lines
 */
function fill(body, lines) {
  body.replaceChildren(...lines.map((line) => {
    const row = document.createElement("tr");
    row.append(...line.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
}

async function refresh() {
  const minutes = one(section, "[name=minutes]:checked", HTMLInputElement).value;
  const answer = await fetch(`${data(section, "history")}?minutes=${minutes}`, { redirect: "error" }).catch(() => null);
  if (!answer?.ok) return; // monitor.js tells the person that the connection is lost
  /** @type {History} */
  const { rows, changes, findings = [] } = await answer.json();
  columns = [rows.map(([at]) => at), ...[1, 2, 3, 4].map((column) => rows.map((row) => row[column]))];
  if (plot) plot.setData(columns);
  else draw();
  fill(rowsBody, rows.toReversed().map(([at, ...numbers]) => [moment(at), ...numbers]));
  fill(changesBody, changes.toReversed().map(([at, ...words]) => [moment(at), ...words]));
  fill(findingsBody, findings);
}

section.addEventListener("change", refresh);
dark.addEventListener("change", draw);
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] }); // the admin's theme switch
new ResizeObserver(() => plot?.setSize({ width: holder.clientWidth, height: HEIGHT })).observe(holder);
refresh();
setInterval(refresh, EVERY);
