// The curves of the predictor that answers, with a mark at the budget.

import { get, query } from "./api.js";
import { curves } from "./curve.js";
import { h } from "./dom.js";
import { PUBLISHED, networks, predictorName } from "./names.js";

const STEPS = 120;

export function predictorCurve({ min, max, onPick, signal }) {
  const chart = curves({ min, max, onPick, signal });
  const origin = h("p", { class: "hint" });
  let drawn = null;
  return {
    node: [chart.node, origin],
    mark: chart.mark,
    async draw(id) {
      const wanted = id || PUBLISHED;
      if (wanted === drawn) return;
      drawn = wanted;
      try {
        const path = `v1/predictors/${encodeURIComponent(wanted)}`;
        const [version, curve, published] = await Promise.all([
          get(path, signal),
          get(query(`${path}/curve`, { min_c: min, max_c: max, steps: STEPS }), signal),
          get(`v1/predictors/${PUBLISHED}`, signal),
        ]);
        if (drawn !== wanted) return;
        chart.data({ curve, points: version.points, published: published.points });
        origin.replaceChildren(
          "A click sets the budget, a drag zooms. The bands cover 90 %; shaded areas have no data. A to E are the ",
          `published TinyNets. Predictor: ${predictorName(version)}, ${networks(version)}. `,
          h("a", { href: `#/predictors/${version.id}` }, "Training points and quality"),
        );
      } catch (error) {
        drawn = null;
        if (!signal.aborted) throw error;
      }
    },
  };
}
