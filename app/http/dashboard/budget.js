// The budget as a slider on a logarithmic scale, and as two number fields.

import { field, h, setError } from "./dom.js";
import { millions, significant } from "./format.js";

export const MIN_RATIO = 0.02;
export const MAX_RATIO = 2;
const STEP = 0.002;

// `onChange(target)` is called with each valid target, `onInvalid(message)` with what is wrong with a field.
export function budgetControl({ onChange, onInvalid }) {
  const slider = h("input", {
    type: "range",
    id: "budget",
    min: Math.log10(MIN_RATIO).toFixed(3),
    max: Math.log10(MAX_RATIO).toFixed(3),
    step: STEP,
  });
  const number = (id) => h("input", { type: "number", id, min: 0, step: "any", inputmode: "decimal", required: true });
  const [ratio, flops] = [number("ratio"), number("flops")];
  const value = h("span", { class: "budget-value" });
  let baseline = 1;
  let edited = slider;

  // Updates all controls except the one that the user is editing.
  function show(target, used = null) {
    const c = target.ratio ?? target.flops / baseline;
    const f = target.flops ?? c * baseline;
    if (used !== slider) slider.value = Math.log10(c);
    if (used !== ratio) ratio.value = significant(c);
    if (used !== flops) flops.value = target.flops ? f / 1e6 : Number((f / 1e6).toPrecision(5));
    value.textContent = `${millions(f)}, ${significant(c)} ×`;
    slider.setAttribute("aria-valuetext", `ratio ${significant(c)}, ${millions(f)} multiply-adds`);
    edited = used ?? slider;
    setErrors(null);
  }

  const setErrors = (message) =>
    [slider, ratio, flops].forEach((control) => setError(control, control === edited ? message : null));

  function change(target, used) {
    show(target, used);
    onChange(target);
  }

  function read(control, toTarget, limit, label) {
    const { valueAsNumber: typed } = control;
    if (typed > 0 && typed <= limit) return change(toTarget(typed), control);
    edited = control;
    setErrors(`Enter a number above 0${typed > limit ? `, at most ${limit.toLocaleString("en")}` : ""}.`);
    onInvalid(`${label}: not a number above 0${typed > limit ? `, at most ${limit.toLocaleString("en")}` : ""}.`);
  }

  slider.addEventListener("input", () =>
    change({ ratio: Number((10 ** slider.valueAsNumber).toPrecision(4)) }, slider),
  );
  ratio.addEventListener("input", () => read(ratio, (c) => ({ ratio: c }), 1000, "Ratio to the baseline"));
  flops.addEventListener("input", () =>
    read(flops, (m) => ({ flops: Math.max(1, Math.round(m * 1e6)) }), 1e9, "Multiply-adds"),
  );

  return {
    slider: h(
      "div",
      { class: "slide" },
      h("div", { class: "slide-head" }, h("label", { class: "label", for: "budget" }, "Budget"), value),
      slider,
      h(
        "div",
        { class: "ends", "aria-hidden": "true" },
        h("span", {}, `${MIN_RATIO} ×`),
        h("span", {}, "the baseline’s multiply-adds"),
        h("span", {}, `${MAX_RATIO} ×`),
      ),
    ),
    fields: [field("Multiply-adds, millions", flops), field("Ratio to the baseline", ratio)],
    show(target, baselineFlops) {
      baseline = baselineFlops;
      show(target);
    },
    set: (target) => change(target, null),
    setError: setErrors,
  };
}
