// Several trials, or several versions of predictors, side by side.

import { compareTrials } from "./compare-trials.js";
import { compareVersions } from "./compare-versions.js";
import { h } from "./dom.js";

const MAX = 6;
const KINDS = { trials: compareTrials, predictors: compareVersions };

export async function compare(page) {
  page.title("Comparison");
  const kind = Object.keys(KINDS).find((name) => page.query.get(name));
  const ids = [...new Set((page.query.get(kind) ?? "").split(",").filter(Boolean))];
  if (ids.length && ids.length <= MAX) return KINDS[kind](page, ids);
  const link = (name) => h("a", { href: `#/${name}` }, name);
  const hint = ["Choose at most ", String(MAX), " in the list of ", link("trials"), " or of ", link("predictors"), "."];
  page.root.append(h("p", { class: "lead" }, hint));
}
