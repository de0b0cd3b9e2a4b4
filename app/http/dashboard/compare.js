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
  if (ids.length > 0 && ids.length <= MAX) return KINDS[kind](page, ids);
  page.root.append(
    h("p", { class: "lead" }, ids.length ? `At most ${MAX} can be compared.` : "Choose what to compare in the list of ", ids.length ? null : h("a", { href: "#/trials" }, "trials"), ids.length ? null : " or ", ids.length ? null : h("a", { href: "#/predictors" }, "predictors"), ids.length ? null : "."),
  );
}
