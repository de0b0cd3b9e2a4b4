// The state of the scale view: its start, its address, and the request for it.

import { PUBLISHED } from "./names.js";

export const MODES = ["nearest", "at_most"];
export const PX_MULTIPLES = ["1", "8", "16", "32"];
export const TOLERANCES = ["", "0.001", "0.01", "0.05", "exact"];
const DEFAULT_RATIO = 0.258; // TinyNet-C's

// Returns the state for the parameters of an address; what they do not say, or say wrongly, has its default.
export function initialState(params, { architectures, predictors, datasets }) {
  const choice = (key, allowed, otherwise) => (allowed.includes(params.get(key)) ? params.get(key) : otherwise);
  const baselines = architectures.map((a) => a.name);
  const architecture = choice(
    "architecture",
    baselines,
    baselines.includes("efficientnet_b0") ? "efficientnet_b0" : baselines[0],
  );
  const dataset = choice(
    "dataset",
    datasets.map((d) => d.name),
    "",
  );
  const [flops, ratio, limit] = ["flops", "ratio", "max_params"].map((key) => Number(params.get(key)));
  return {
    architecture,
    dataset,
    predictor: choice(
      "predictor",
      selectable(predictors, architecture).map((p) => p.id),
      defaultPredictor(predictors, architecture, dataset),
    ),
    rule: params.get("rule") || "auto",
    mode: choice("mode", MODES, "nearest"),
    multiple: choice("multiple", PX_MULTIPLES, "1"),
    tolerance: choice("tolerance", TOLERANCES, ""),
    max_params: limit > 0 ? Math.round(limit) : null,
    target: flops > 0 ? { flops: Math.round(flops) } : { ratio: ratio > 0 ? ratio : DEFAULT_RATIO },
  };
}

// Returns what an address asks for and the state does not have, as text such as "predictor p1".
export function ignoredParameters(params, { target, ...state }) {
  const used = { ...state, ...target };
  const isUsed = (key, value) => String(used[key]) === value || (used[key] && Number(value) === used[key]);
  return [...params].filter(([key, value]) => value && !isUsed(key, value)).map((pair) => pair.join(" "));
}

// Returns the predictors that can be chosen for a baseline: its own, and the published one.
export const selectable = (predictors, architecture) =>
  predictors.filter((p) => p.architecture === architecture || p.id === PUBLISHED);

// Returns the id of the version in use for the data set; else the published one or the oldest in use; "" if the
// baseline has none.
export function defaultPredictor(predictors, architecture, dataset) {
  const own = predictors.filter((p) => p.architecture === architecture);
  const used = own.filter((p) => p.active);
  const found = used.find((p) => p.dataset === dataset) ?? own.find((p) => p.id === PUBLISHED) ?? used.at(-1);
  return found?.id ?? "";
}

export const toAddress = ({ target, multiple, mode, ...state }) => ({
  ...state,
  mode: mode === "nearest" ? "" : mode,
  multiple: multiple === "1" ? "" : multiple,
  ...target,
});

export function toRequest({ architecture, target, rule, predictor, dataset, multiple, max_params, mode, tolerance }) {
  const constraints = {
    ...(multiple === "1" ? {} : { resolution: { multiple_of: Number(multiple) } }),
    ...(max_params ? { max_params } : {}),
  };
  const budget = {
    ...(mode === "nearest" ? {} : { mode }),
    ...(tolerance ? { tolerance: tolerance === "exact" ? null : Number(tolerance) } : {}),
  };
  return {
    architecture,
    target,
    rule,
    ...(predictor ? { predictor } : {}),
    ...(dataset ? { dataset } : {}),
    ...(Object.keys(constraints).length ? { constraints } : {}),
    ...(Object.keys(budget).length ? { budget } : {}),
  };
}
