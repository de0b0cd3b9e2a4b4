// The numbers of the network that is shown.

import { accuracyText } from "./answer.js";
import { facts, h } from "./dom.js";
import { fixed, millions, multiplier, px, signedPercent } from "./format.js";
import { datasetName } from "./names.js";

const NAMES = { px: "pixels", r: "resolution r", d: "depth d", w: "width w" };

export function readouts() {
  const cells = Object.fromEntries(
    Object.keys(NAMES).map((key) => [
      key,
      { value: h("output", { id: `value-${key}`, for: "budget" }, "–"), more: h("span", { class: "more" }) },
    ]),
  );
  const show = (key, value, more) => {
    cells[key].value.textContent = value;
    cells[key].more.textContent = more;
  };
  return {
    node: h(
      "div",
      { class: "readouts" },
      Object.entries(NAMES).map(([key, name]) =>
        h("div", { class: `readout ${key}` }, h("span", { class: "label" }, name), cells[key].value, cells[key].more),
      ),
    ),
    show(answer) {
      const m = answer?.multipliers;
      show(
        "px",
        answer ? px(answer.config.resolution) : "–",
        answer && !Array.isArray(answer.config.resolution) ? "square" : "",
      );
      show("r", multiplier(m?.r), m?.r_sd ? `± ${fixed(m.r_sd, 3)}` : "");
      show("d", multiplier(m?.d), m?.d_sd ? `± ${fixed(m.d_sd, 3)}` : "");
      show("w", multiplier(m?.w), m?.w_interval ? `${fixed(m.w_interval[0], 3)} to ${fixed(m.w_interval[1], 3)}` : "");
    },
  };
}

export function networkFacts({ cost, budget_error, predicted_accuracy: accuracy }) {
  return facts([
    ["Multiply-adds", millions(cost.flops), "fact-flops"],
    ["Budget error", signedPercent(budget_error), "fact-error"],
    ["Parameters", millions(cost.params), "fact-params"],
    ["FLOPs by fvcore", millions(cost.fvcore_total)],
    ["Peak activations", `${(cost.peak_activation_bytes / 2 ** 20).toFixed(2)} MiB`],
    [
      accuracy ? `Expected on ${datasetName(accuracy.dataset)}` : "Expected accuracy",
      accuracy ? accuracyText(accuracy) : "not predicted",
      "fact-accuracy",
    ],
  ]);
}
