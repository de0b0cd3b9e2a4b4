// Scale a baseline to a budget. Every change sends a new request.

import { getAll, compute, get, isAbort, query } from "./api.js";
import { baselinePicker } from "./baseline.js";
import { budgetControl, MIN_RATIO, MAX_RATIO } from "./budget.js";
import { copyButton } from "./clipboard.js";
import { curves } from "./curve.js";
import { facts, field, h, options } from "./dom.js";
import { fixed, millions, multiplier, percent, px, signedPercent } from "./format.js";
import { currentKey } from "./key.js";
import { specNames } from "./spec-names.js";
import { latestOnly } from "./latest-only.js";
import { delay } from "./delay.js";
import { toPython } from "./timm-code.js";
import { updateAddress } from "./router.js";
import { ruleLabel, rulesTable } from "./rules.js";
import { stageCosts } from "./stage-costs.js";
import { trainForm } from "./train.js";
import { loading, problemBox } from "./messages.js";

const PUBLISHED = "published-tinynets";
const SETTLE_DELAY = 500; // ms after the last change until the address and the screen reader are updated

export async function scale(page) {
  const { root, signal } = page;
  page.title("Scale");
  root.append(loading());
  const [architectures, predictors, datasets, spec] = await Promise.all([
    getAll("v1/architectures", signal),
    getAll("v1/predictors", signal),
    getAll("v1/datasets", signal),
    specNames(),
  ]);
  const state = initialState(page.query, architectures, predictors, datasets, spec);
  const baseline = () => architectures.find((a) => a.name === state.architecture);
  let baselineFlops = baseline().flops; // with the classes of the data set

  const budget = budgetControl((target) => {
    state.target = target;
    update();
  });
  const predictor = h("select", { id: "predictor" });
  const train = trainForm(page, datasets);
  const parts = {
    readouts: readouts(),
    facts: h("div", {}),
    notes: h("div", { class: "notes" }),
    stages: h("div", {}),
    rules: h("div", { class: "rules" }),
  };
  const config = h("pre", { tabindex: "0", "aria-label": "Config as JSON" });
  const chart = curves({
    min: MIN_RATIO,
    max: MAX_RATIO,
    onPick: (c) => budget.set({ ratio: Number(c.toPrecision(4)) }),
  });
  const announcement = h("p", { class: "visually-hidden", role: "status", id: "announcement" });
  const origin = h("p", { class: "hint" });
  let shownResult = null;

  const select = (id, label, items, key, hint) => {
    const control = options(h("select", { id }), items, String(state[key]));
    control.addEventListener("change", () => {
      state[key] = control.value;
      update();
    });
    return field(label, control, hint);
  };

  const dataset = options(
    h("select", { id: "dataset" }),
    [["", "of the baseline"], ...datasets.map((d) => [d.name, `${d.num_classes} of ${d.name}`])],
    state.dataset,
  );
  dataset.addEventListener("change", () => {
    state.dataset = dataset.value;
    updateBaselineFlops();
  });

  predictor.addEventListener("change", () => {
    state.predictor = predictor.value;
    update();
  });

  function showPredictors() {
    const own = predictors.filter((p) => p.architecture === state.architecture || p.id === PUBLISHED);
    if (!own.some((p) => p.id === state.predictor)) state.predictor = "";
    options(predictor, [["", "active"], ...own.map((p) => [p.id, `${p.dataset}, version ${p.version}`])], state.predictor);
  }

  const controls = h(
    "section",
    { class: "card controls", "aria-label": "Settings" },
    h(
      "div",
      { class: "fields" },
      baselinePicker(architectures, state.architecture, (name) => {
        state.architecture = name;
        state.predictor = "";
        showPredictors();
        updateBaselineFlops();
      }),
      select("rule", "Rule", spec.rules.map((name) => [name, ruleLabel(name)]), "rule"),
      select("mode", "Budget mode", [["nearest", "nearest"], ["at_most", "at most"]], "mode"),
      select("multiple", "Pixels", ["1", "8", "16", "32"].map((n) => [n, n === "1" ? "any" : `multiples of ${n}`]), "multiple"),
      field("Predictor", predictor),
      field("Classes", dataset),
    ),
    budget.node,
  );
  const copies = h(
    "p",
    { class: "actions" },
    copyButton("Copy config", () => JSON.stringify(shownResult?.config, null, 2)),
    copyButton("Copy Python for timm", () => toPython(shownResult.config.timm)),
    copyButton("Copy curl", () => curl(request(state))),
  );
  root.replaceChildren(
    controls,
    h("section", { class: "result", "aria-label": "Network" }, parts.notes, parts.readouts.node, parts.facts, announcement),
    h("section", { class: "card" }, h("h2", {}, "Curves"), chart.node, origin),
    h("section", { class: "card" }, h("h2", {}, "Cost by stage"), parts.stages),
    h("section", { class: "card" }, h("h2", {}, "Comparison of rules"), parts.rules),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Export"),
      copies,
      h("details", {}, h("summary", {}, "Config"), config),
    ),
    train.node,
  );

  const scaling = latestOnly(signal);
  const comparing = latestOnly(signal);
  const settling = latestOnly(signal);
  const counting = latestOnly(signal);
  let drawnPredictor = null;
  let compared = [];

  // Updates the baseline's FLOPs, to which ratios are relative: they depend on the number of classes.
  function updateBaselineFlops() {
    const show = (flops) => {
      baselineFlops = flops;
      budget.show(state.target, flops);
      update();
    };
    if (!state.dataset) return show(baseline().flops);
    return counting(
      (requestSignal) => compute("v1/cost", { architecture: state.architecture, dataset: state.dataset }, requestSignal),
      ({ cost }) => show(cost.flops),
      page.fail,
    );
  }

  function update() {
    const body = request(state);
    scaling(
      async (requestSignal) => {
        const result = await compute("v1/scale", body, requestSignal);
        const cost = await compute("v1/cost", { config: result.config }, requestSignal);
        return { result, cost: cost.cost };
      },
      ({ result, cost }) => {
        shownResult = result;
        const reason = result.rule_reason ? [h("p", {}, `Rule: ${ruleLabel(result.rule)}. ${result.rule_reason}`)] : [];
        parts.notes.replaceChildren(...reason, ...result.warnings.map((w) => h("p", { class: "warning" }, w.detail)));
        parts.readouts.show(result);
        parts.facts.replaceChildren(facts(factsOf(result, cost)));
        parts.stages.replaceChildren(stageCosts(cost));
        config.textContent = JSON.stringify(result.config, null, 2);
        copies.hidden = false;
        train.network({ architecture: body.architecture, multipliers: result.multipliers }, state.dataset);
        chart.mark({
          c: result.cost.flops / baselineFlops,
          r: result.multipliers.r,
          d: result.multipliers.d,
          accuracy: result.predicted_accuracy?.mean ?? null,
        });
        drawCurve(result.predictor?.id).catch(page.fail);
        showRules();
      },
      (error) => {
        shownResult = null;
        parts.notes.replaceChildren(problemBox(error, reachableBudgets(error.document)));
        parts.readouts.show(null);
        parts.facts.replaceChildren();
        parts.stages.replaceChildren(h("p", { class: "hint" }, "There is no network for this budget."));
        config.textContent = "";
        copies.hidden = true;
        train.network(null);
        chart.mark(null);
        drawCurve().catch(page.fail);
      },
    );
    comparing(
      (requestSignal) => compute("v1/compare", { ...body, rule: undefined }, requestSignal),
      ({ items }) => {
        compared = items;
        showRules();
      },
      (error) => {
        compared = [];
        parts.rules.replaceChildren(problemBox(error));
      },
    );
    settling(
      (requestSignal) => delay(SETTLE_DELAY, requestSignal),
      () => {
        updateAddress("scale", { ...state, target: null, ...state.target });
        if (shownResult) announcement.textContent = describe(shownResult);
      },
      page.fail,
    );
  }

  // Marks the rule of the network that is shown; either response may come first.
  const showRules = () => {
    if (compared.length) parts.rules.replaceChildren(rulesTable(compared, shownResult?.rule ?? state.rule));
  };

  const reachableBudgets = ({ min_flops, max_flops }) =>
    [["smallest", min_flops], ["largest", max_flops]]
      .filter(([, flops]) => flops)
      .map(([name, flops]) =>
        h("button", { type: "button", onclick: () => budget.set({ flops }) }, `Use the ${name} budget: ${millions(flops)}`),
      );

  // Draws the curve of the predictor that was used. For rules without a predictor it is the active one.
  async function drawCurve(used) {
    const active = predictors.find((p) => p.architecture === state.architecture && p.active);
    const id = used ?? (state.predictor || active?.id || PUBLISHED);
    if (id === drawnPredictor) return;
    drawnPredictor = id;
    try {
      const [version, curve, published] = await Promise.all([
        get(`v1/predictors/${id}`, signal),
        get(query(`v1/predictors/${id}/curve`, { min_c: MIN_RATIO, max_c: MAX_RATIO, steps: 120 }), signal),
        get(`v1/predictors/${PUBLISHED}`, signal),
      ]);
      if (drawnPredictor !== id) return;
      chart.data({ curve, points: version.points, published: published.points });
      origin.replaceChildren(
        `The bands cover 90 %; shaded areas have no data. A to E are the published TinyNets. Predictor: ${version.architecture} on ${version.dataset}, version ${version.version}, ${version.observations} points. `,
        h("a", { href: `#/predictors/${version.id}` }, "Training points and quality"),
      );
    } catch (error) {
      drawnPredictor = null;
      if (!isAbort(error)) throw error;
    }
  }

  showPredictors();
  updateBaselineFlops();
}

function initialState(params, architectures, predictors, datasets, { rules, defaultRule }) {
  const readChoice = (key, allowed, otherwise) => (allowed.includes(params.get(key)) ? params.get(key) : otherwise);
  const baselines = architectures.map((a) => a.name);
  const [flops, ratio] = [Number(params.get("flops")), Number(params.get("ratio"))];
  return {
    architecture: readChoice("architecture", baselines, baselines.includes("efficientnet_b0") ? "efficientnet_b0" : baselines[0]),
    rule: readChoice("rule", rules, defaultRule),
    mode: readChoice("mode", ["nearest", "at_most"], "nearest"),
    multiple: readChoice("multiple", ["1", "8", "16", "32"], "1"),
    dataset: readChoice("dataset", datasets.map((d) => d.name), ""),
    // Without an address of its own the page shows the published predictor, whatever studies have been fitted since.
    predictor: readChoice("predictor", predictors.map((p) => p.id), [...params].length > 0 ? "" : PUBLISHED),
    target: flops > 0 ? { flops: Math.round(flops) } : { ratio: ratio > 0 ? ratio : 0.258 },
  };
}

function request(state) {
  return {
    architecture: state.architecture,
    target: state.target,
    rule: state.rule,
    ...(state.predictor ? { predictor: state.predictor } : {}),
    ...(state.dataset ? { dataset: state.dataset } : {}),
    ...(state.multiple === "1" ? {} : { constraints: { resolution: { multiple_of: Number(state.multiple) } } }),
    ...(state.mode === "nearest" ? {} : { budget: { mode: state.mode } }),
  };
}

function readouts() {
  const names = { r: "resolution r", d: "depth d", w: "width w", px: "pixels" };
  const cells = Object.fromEntries(
    Object.keys(names).map((key) => [key, { value: h("output", { id: `value-${key}` }), more: h("span", { class: "more" }) }]),
  );
  const node = h(
    "div",
    { class: "readouts" },
    Object.entries(names).map(([key, name]) =>
      h("div", { class: `readout ${key}` }, h("span", { class: "label" }, name), cells[key].value, cells[key].more),
    ),
  );
  return {
    node,
    show(answer) {
      const m = answer?.multipliers;
      cells.r.value.textContent = multiplier(m?.r);
      cells.r.more.textContent = m?.r_sd ? `± ${fixed(m.r_sd, 3)}` : "";
      cells.d.value.textContent = multiplier(m?.d);
      cells.d.more.textContent = m?.d_sd ? `± ${fixed(m.d_sd, 3)}` : "";
      cells.w.value.textContent = multiplier(m?.w);
      cells.w.more.textContent = m?.w_interval ? `${fixed(m.w_interval[0], 3)} to ${fixed(m.w_interval[1], 3)}` : "";
      cells.px.value.textContent = answer ? px(answer.config.resolution) : "–";
      cells.px.more.textContent = answer && !Array.isArray(answer.config.resolution) ? "square" : "";
    },
  };
}

function factsOf(answer, cost) {
  const accuracy = answer.predicted_accuracy;
  return [
    ["Multiply-adds", millions(answer.cost.flops), "fact-flops"],
    ["Budget error", signedPercent(answer.budget_error), "fact-error"],
    ["Parameters", millions(answer.cost.params), "fact-params"],
    ["FLOPs by fvcore", millions(cost.fvcore_total)],
    ["Peak activations", `${(cost.peak_activation_bytes / 2 ** 20).toFixed(2)} MiB`],
    [
      accuracy ? `Top-1, ${accuracy.dataset}` : "Predicted accuracy",
      accuracy ? `${percent(accuracy.mean)} ± ${percent(accuracy.sd)}` : "not predicted",
      "fact-accuracy",
    ],
  ];
}

const describe = ({ multipliers: m, config, cost, budget_error }) =>
  `r ${multiplier(m.r)}, d ${multiplier(m.d)}, w ${multiplier(m.w)}, ${px(config.resolution)} pixels, ` +
  `${millions(cost.flops)} multiply-adds, ${signedPercent(budget_error)} off the budget.`;

const curl = (body) =>
  `curl -s ${new URL("v1/scale", document.baseURI)} -H 'Content-Type: application/json'${currentKey() ? ' -H "Authorization: Bearer $RDW_KEY"' : ""} -d '${JSON.stringify(body)}'`;
