// The budget: a slider over the logarithm of the ratio, and the same as two numbers that can be typed.

import { field, h } from "./dom.js";
import { millions, short } from "./format.js";

export const LEAST = 0.02;
export const MOST = 2;
const STEP = 0.002;

export function budgetControl(onChange) {
  const slider = h("input", {
    type: "range",
    id: "budget",
    min: Math.log10(LEAST).toFixed(3),
    max: Math.log10(MOST).toFixed(3),
    step: STEP,
  });
  const ratio = h("input", { type: "number", id: "ratio", min: 0, step: "any", inputmode: "decimal" });
  const flops = h("input", { type: "number", id: "flops", min: 0, step: "any", inputmode: "decimal" });
  let baseline = 1;

  // What is being typed in stays as it is typed.
  function show(target, typed) {
    const c = target.ratio ?? target.flops / baseline;
    const f = target.flops ?? c * baseline;
    if (typed !== slider) slider.value = Math.log10(c);
    if (typed !== ratio) ratio.value = short(c);
    if (typed !== flops) flops.value = target.flops ? f / 1e6 : Number((f / 1e6).toPrecision(5));
    slider.setAttribute("aria-valuetext", `ratio ${short(c)}, ${millions(f)} multiply-adds`);
  }

  function changed(target, typed) {
    show(target, typed);
    onChange(target);
  }

  slider.addEventListener("input", () => changed({ ratio: Number((10 ** slider.valueAsNumber).toPrecision(4)) }, slider));
  ratio.addEventListener("input", () => ratio.valueAsNumber > 0 && changed({ ratio: ratio.valueAsNumber }, ratio));
  flops.addEventListener("input", () => {
    const target = Math.round(flops.valueAsNumber * 1e6);
    if (target > 0) changed({ flops: target }, flops);
  });

  const node = h(
    "div",
    { class: "budget-row" },
    h("div", { class: "slide" }, field("Budget", slider), h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, `${LEAST} ×`), h("span", {}, "the baseline’s multiply-adds"), h("span", {}, `${MOST} ×`))),
    field("Ratio to the baseline", ratio),
    field("Multiply-adds, millions", flops),
  );
  return {
    node,
    show(target, baselineFlops) {
      baseline = baselineFlops;
      show(target);
    },
    set: (target) => changed(target),
  };
}
