// What `make lint` asks of the pages' JavaScript. Missing modules, exports and members are found by tsc: see tsconfig.json.
import js from "@eslint/js";
import globals from "globals";

const strict = {
  curly: ["error", "multi-line"],
  eqeqeq: "error",
  "no-else-return": "error",
  "no-implicit-coercion": "error",
  "no-sequences": "error",
  "no-shadow": "error",
  "no-throw-literal": "error",
  "no-unused-expressions": "error",
  "no-unused-vars": ["error", { caughtErrors: "all", argsIgnorePattern: "^_" }],
  "no-useless-return": "error",
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-arrow-callback": "error",
  "prefer-const": "error",
  "prefer-template": "error",
  "max-lines": ["error", { max: 200, skipBlankLines: true, skipComments: true }],
  "max-lines-per-function": ["error", { max: 40, skipBlankLines: true, skipComments: true }],
};

export default [
  js.configs.recommended,
  { rules: strict, linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" } },
  { files: ["static/js/**"], languageOptions: { globals: { ...globals.browser, htmx: "readonly", tus: "readonly" } } },
  { files: ["static/js/live/worklet.js"], languageOptions: { globals: globals.audioWorklet } },
  { files: ["*.js", ".ci/**"], languageOptions: { globals: globals.node } },
];
