// The linters refuse the faults that they are there for. Each fault is a file of its own and names the rule it breaks.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { ESLint } from "eslint";

const ROOT = join(import.meta.dirname, "..");
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const FOLDER = mkdtempSync(join(ROOT, ".cache/faults-"));
after(() => rmSync(FOLDER, { recursive: true }));

const NAMES = { // what eslint alone sees, in the text
  "a forgotten import": ["no-undef", "export const line = clock(61);"],
  "an unused import": ["no-unused-vars", 'import { clock } from "../../static/js/clock.js";'],
  "an unused name": ["no-unused-vars", "export function add(a) { const sum = a; }"],
  "a comparison that converts": ["eqeqeq", "export const same = (a, b) => a == b;"],
  "an error that nobody reads": ["no-unused-vars", "try { close(); } catch (error) {}"],
};
const TYPES = { // what tsc sees, in the program
  "a forgotten import": ["TS2304", "export const line = clok(61);"],
  "a module that is not there": ["TS2307", 'import { clock } from "../../static/js/clocks.js"; clock(61);'],
  "a name that a module does not export": ["TS2724", 'import { clok } from "../../static/js/clock.js"; clok(61);'],
  "a wrong type": ["TS2345", 'import { clock } from "../../static/js/clock.js"; clock("61");'],
  "a type that is not said": ["TS7006", "export const twice = (number) => 2 * number;"],
  "an element that may be missing": ["TS2531", 'document.querySelector("p").remove();'],
  "a wrong option of a vendored module": ["TS2353", 'import WaveSurfer from "../../static/vendor/wavesurfer.js/dist/wavesurfer.esm.js"; WaveSurfer.create({ container: "#a", colour: 1 });'],
};

for (const [fault, [rule, text]] of Object.entries(NAMES)) {
  test(`eslint refuses ${fault}`, async () => {
    const [{ messages }] = await new ESLint({ cwd: ROOT }).lintText(text, { filePath: "static/js/fault.js" });
    assert.ok(messages.some(({ ruleId, severity }) => ruleId === rule && severity === 2), JSON.stringify(messages));
  });
}

test("tsc refuses each fault", () => {
  const faults = Object.values(TYPES);
  faults.forEach(([, text], at) => writeFileSync(join(FOLDER, `${at}.js`), text));
  writeFileSync(join(FOLDER, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", include: ["*.js", "../../types"] }));
  const { stdout } = spawnSync("tsc", ["--pretty", "false", "-p", FOLDER], { encoding: "utf8" });
  const found = new Set(Array.from(stdout.matchAll(/(\d+)\.js\(.*? error (TS\d+)/g), ([, at, code]) => `${at} ${code}`));
  Object.keys(TYPES).forEach((fault, at) => assert.ok(found.has(`${at} ${faults[at][0]}`), `${fault}: ${stdout}`));
});
