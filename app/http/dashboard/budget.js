// The budget as a slider on a logarithmic scale, and as two number fields.

import { field, h } from "./dom.js";
import { millions, significant } from "./format.js";

export const MIN_RATIO = 0.02;
export const MAX_RATIO = 2;
const STEP = 0.002;

export function budgetControl(onChange) {
  const slider = h("input", {
    type: "range",
    id: "budget",
    min: Math.log10(MIN_RATIO).toFixed(3),
    max: Math.log10(MAX_RATIO).toFixed(3),
    step: STEP,
  });
  const ratio = h("input", { type: "number", id: "ratio", min: 0, step: "any", inputmode: "decimal" });
  const flops = h("input", { type: "number", id: "flops", min: 0, step: "any", inputmode: "decimal" });
  let baseline = 1;

  // Updates all controls except the one that the user is editing.
  function show(target, edited) {
    const c = target.ratio ?? target.flops / baseline;
    const f = target.flops ?? c * baseline;
    if (edited !== slider) slider.value = Math.log10(c);
    if (edited !== ratio) ratio.value = significant(c);
    if (edited !== flops) flops.value = target.flops ? f / 1e6 : Number((f / 1e6).toPrecision(5));
    slider.setAttribute("aria-valuetext", `ratio ${significant(c)}, ${millions(f)} multiply-adds`);
  }

  function change(target, edited) {
    show(target, edited);
    onChange(target);
  }

  slider.addEventListener("input", () => change({ ratio: Number((10 ** slider.valueAsNumber).toPrecision(4)) }, slider));
  ratio.addEventListener("input", () => ratio.valueAsNumber > 0 && change({ ratio: ratio.valueAsNumber }, ratio));
  flops.addEventListener("input", () => {
    const target = Math.round(flops.valueAsNumber * 1e6);
    if (target > 0) change({ flops: target }, flops);
  });

  const node = h(
    "div",
    { class: "budget-row" },
    h("div", { class: "slide" }, field("Budget", slider), h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, `${MIN_RATIO} ×`), h("span", {}, "the baseline’s multiply-adds"), h("span", {}, `${MAX_RATIO} ×`))),
    field("Ratio to the baseline", ratio),
    field("Multiply-adds, millions", flops),
  );
  return {
    node,
    show(target, baselineFlops) {
      baseline = baselineFlops;
      show(target);
    },
    set: (target) => change(target),
  };
}
