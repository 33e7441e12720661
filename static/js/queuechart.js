// The monitor's chart: limit, permits out and what waits over time, asked for again every few seconds; and as tables.
// With it comes what is known of the servers, in the reader's language.
import uPlot from "../vendor/uplot/dist/uPlot.esm.js";

const EVERY = 5_000; // ms
const HEIGHT = 220; // px
const MINUTES = [1, 2, 5, 15, 30, 60, 120, 180, 360].map((count) => count * 60); // between two times on the axis
const section = document.getElementById("chart");
const holder = section.querySelector(".plot");
const rowsBody = section.querySelector(".rows"), changesBody = section.querySelector(".changes");
const findingsBody = document.querySelector(".findings");
const dark = matchMedia("(prefers-color-scheme: dark)");
const language = document.documentElement.lang;
let plot = null, data = [[], [], [], [], []];

const minutes = () => section.querySelector("[name=minutes]:checked").value;
const moment = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language);
const minute = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language, { timeStyle: "short" });
const number = (_plot, value) => value ?? "–";

function draw() {
  const style = getComputedStyle(section);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: color("--body-fg"), grid: { stroke: color("--hairline-color"), width: 1 }, ticks: { show: false } };
  const stepped = uPlot.paths.stepped({ align: 1 });
  plot?.destroy();
  plot = new uPlot({
    width: holder.clientWidth,
    height: HEIGHT,
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(2, high) * 1.1] } },
    axes: [{ ...axis, values: (_plot, ticks) => ticks.map(minute), space: 80, incrs: MINUTES }, { ...axis, size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] }],
    series: [
      { label: section.dataset.when, value: (_plot, seconds) => (seconds == null ? "–" : moment(seconds)) },
      { label: section.dataset.limit, value: number, stroke: color("--chart-limit"), width: 2, dash: [6, 4], paths: stepped },
      { label: section.dataset.active, value: number, stroke: color("--chart-active"), width: 2, paths: stepped },
      { label: section.dataset.queued, value: number, stroke: color("--chart-queued"), fill: color("--chart-area"), width: 1 },
      { label: section.dataset.calls, value: number, stroke: color("--chart-queued"), dash: [2, 3], width: 1 },
    ],
  }, data, holder);
}

function fill(body, lines) {
  body.replaceChildren(...lines.map((line) => {
    const row = document.createElement("tr");
    row.append(...line.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
}

async function look() {
  const answer = await fetch(`${section.dataset.history}?minutes=${minutes()}`, { redirect: "error" }).catch(() => null);
  if (!answer?.ok) return; // the page says already that nothing comes any more
  const { rows, changes, findings = [] } = await answer.json();
  data = [0, 1, 2, 3, 4].map((column) => rows.map((row) => row[column]));
  if (plot) plot.setData(data);
  else draw();
  fill(rowsBody, rows.toReversed().map(([at, ...numbers]) => [moment(at), ...numbers]));
  fill(changesBody, changes.toReversed().map(([at, ...what]) => [moment(at), ...what]));
  fill(findingsBody, findings);
}

section.addEventListener("change", look);
dark.addEventListener("change", draw);
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] }); // the admin's own switch
new ResizeObserver(() => plot?.setSize({ width: holder.clientWidth, height: HEIGHT })).observe(holder);
look();
setInterval(look, EVERY);
