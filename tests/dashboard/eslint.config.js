// ESLint for the dashboard, the playground and their tests: `npm run lint`.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/vendor/**", "**/*.d.ts", "**/swagger-ui-bundle.js", "**/node_modules/**"] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-unused-expressions": ["error", { allowTernary: true, allowShortCircuit: true }],
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["**/dashboard/*.js", "**/assets/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["**/assets/*.js"], languageOptions: { globals: { SwaggerUIBundle: "readonly" } } },
  { files: ["**/*.test.mjs", "**/eslint.config.js"], languageOptions: { globals: globals.node } },
];
