// Scale a baseline to a budget: the answer follows the budget as it is dragged.

import { getAll, compute, isTemporary } from "./api.js";
import { answerParts, answerSentence } from "./answer.js";
import { baselinePicker } from "./baseline.js";
import { budgetControl, MAX_RATIO, MIN_RATIO } from "./budget.js";
import { copyButton } from "./clipboard.js";
import { delay } from "./delay.js";
import { field, h, options, setError } from "./dom.js";
import { integer, millions } from "./format.js";
import { currentKey } from "./key.js";
import { latestOnly } from "./latest-only.js";
import { loading, problemBox, warning } from "./messages.js";
import { datasetName, networks, predictorName } from "./names.js";
import { newestWins } from "./newest-wins.js";
import { predictorCurve } from "./predictor-curve.js";
import { updateAddress } from "./router.js";
import { ruleLabel, rulesTable } from "./rules.js";
import { networkFacts, readouts } from "./scale-result.js";
import { defaultPredictor, ignoredParameters, initialState, selectable, toAddress, toRequest } from "./scale-state.js";
import { specNames } from "./spec-names.js";
import { stageCosts } from "./stage-costs.js";
import { staleness } from "./staleness.js";
import { createStore } from "./store.js";
import { toPython } from "./timm-code.js";
import { trainForm } from "./train.js";

const LEAD =
  "rdw shrinks an image classifier to a compute budget: it finds the input resolution, depth and width that keep the " +
  "most accuracy, and can train the network.";
const SETTLE_DELAY = 500; // ms after the last change until the address and the screen reader are updated
const FIELDS = {
  "/target": "budget",
  "/predictor": "predictor",
  "/dataset": "dataset",
  "/constraints/max_params": "max-params",
  "/budget": "tolerance",
  "/architecture": "architecture",
};

export async function scale(page) {
  const { root, signal } = page;
  page.title("Scale");
  root.append(h("p", { class: "lead" }, LEAD), loading());
  const all = (name) => getAll(`v1/${name}`, signal);
  // The service reads all fonts for its first list of data sets, which slows a drag: the list waits for a moment of
  // rest, unless the address names a data set.
  /** @type {Promise<void> | null} */
  let datasets = null; //, from that moment on
  const [architectures, predictors, named] = await Promise.all([
    all("architectures"),
    all("predictors"),
    page.query.get("dataset") ? all("datasets") : null,
  ]);
  const initial = initialState(page.query, { architectures, predictors, datasets: named ?? [] });
  const ignored = ignoredParameters(page.query, initial);
  const store = createStore(initial);
  const source = (id) => predictors.find((p) => p.id === id)?.architecture;
  let baselineFlops = 1; // with the classes of the data set
  /** @type {any} */
  let result = null; // the answer that is shown
  /** @type {string | null} */
  let invalid = null; // what is wrong with the budget that is being typed

  const fresh = staleness(root);
  const budget = budgetControl({
    onChange(target) {
      invalid = null;
      store.set({ target });
    },
    onInvalid(message) {
      invalid = `${message} The numbers are those of the last valid budget.`;
      status.textContent = invalid;
      fresh.failed();
    },
  });
  const sentence = h("p", { id: "answer", class: "answer" });
  const numbers = readouts();
  const status = h("p", { id: "status", class: "status", role: "status" });
  const notes = h("div", { class: "notes follows" });
  const details = h("div", {});
  const stages = h("div", {});
  const rules = h("div", { class: "rules" });
  const config = h("pre", { tabindex: "0", role: "region", "aria-label": "Config as JSON" });
  const curve = predictorCurve({
    min: MIN_RATIO,
    max: MAX_RATIO,
    onPick: (c) => budget.set({ ratio: Number(c.toPrecision(4)) }),
    signal,
  });
  const train = trainForm(page);
  const announcement = h("p", { class: "visually-hidden", role: "status", id: "announcement" });
  const copies = h(
    "p",
    { class: "actions" },
    copyButton("Copy config", () => JSON.stringify(result?.config, null, 2)),
    copyButton("Copy Python for timm", () => toPython(result.config.timm)),
    copyButton("Copy curl", () => curl(toRequest(store.get()))),
  );
  const settings = settingsCard({
    store,
    architectures,
    predictors,
    budgetFields: budget.fields,
    fail: page.fail,
  });
  const part = (title, ...content) => h("section", { class: "card" }, h("h2", {}, title), content);
  root.replaceChildren(
    h("p", { class: "lead" }, LEAD),
    ignored.length
      ? warning(`The address asks for what is not there: ${ignored.join(", ")}. The default is shown instead.`)
      : "",
    h("section", { class: "result follows", "aria-label": "Answer" }, sentence),
    h(
      "section",
      { class: "dock", "aria-label": "Budget and network" },
      h("div", { class: "card" }, budget.slider),
      h("div", { class: "follows" }, numbers.node),
      status,
    ),
    notes,
    settings.node,
    h("section", { class: "follows", "aria-label": "Network" }, details, announcement),
    h("section", { class: "card" }, h("h2", {}, "Curves"), curve.node),
    h("div", { class: "follows" }, part("Cost by stage", stages), part("Comparison of rules", rules)),
    part("Export", copies, h("details", {}, h("summary", {}, "Config"), config)),
    train.node,
  );

  const settled = (requestSignal) => delay(SETTLE_DELAY, requestSignal);
  const settling = latestOnly(signal);
  const announcing = latestOnly(signal);
  const counting = latestOnly(signal);
  const request = newestWins({
    send: ({ state }) => compute("v1/scale", { ...toRequest(state), include: ["stages", "comparison"] }, signal, false),
    show: showResult,
    fail: showFailure,
    isTemporary,
    pause: (milliseconds) => delay(milliseconds, signal),
    signal,
  });

  function showResult(answer, { state, baseline }, isNewest) {
    result = answer;
    clearMessages();
    if (invalid) fresh.failed();
    else fresh.shown(isNewest);
    const parts = answerParts(answer, source(answer.predictor?.id));
    announcing(
      settled,
      () => (announcement.textContent = answerSentence(answer, source(answer.predictor?.id))),
      page.fail,
    );
    sentence.replaceChildren(`${parts.budget}: `, h("strong", {}, parts.network), `; ${parts.expected}.`);
    numbers.show(answer);
    const reason = answer.rule_reason
      ? [h("p", { class: "hint reason" }, `Rule: ${ruleLabel(answer.rule)}. ${answer.rule_reason}`)]
      : [];
    notes.replaceChildren(...answer.warnings.map((w) => h("p", { class: "warning" }, w.detail)));
    details.replaceChildren(networkFacts(answer), ...reason);
    stages.replaceChildren(stageCosts(answer.stages, answer.cost.flops));
    rules.replaceChildren(rulesTable(answer.comparison, answer.rule));
    config.textContent = JSON.stringify(answer.config, null, 2);
    copies.hidden = false;
    train.network({ architecture: answer.architecture, multipliers: answer.multipliers }, state.dataset);
    curve.mark({
      x: answer.cost.flops / baseline,
      r: answer.multipliers.r,
      d: answer.multipliers.d,
      accuracy: answer.predicted_accuracy?.mean,
    });
    curve.draw(answer.predictor?.id ?? state.predictor).catch(page.fail);
  }

  function showFailure(error, { state }) {
    clearMessages();
    if (isTemporary(error)) {
      fresh.failed();
      budget.setError(error.message);
      status.textContent = `${error.message} The numbers are those of the last answer; retrying …`;
      return;
    }
    result = null;
    fresh.shown(true);
    sentence.textContent = "There is no network for these settings.";
    numbers.show(null);
    notes.replaceChildren(problemBox(error, reachableBudgets(error.document)));
    details.replaceChildren();
    for (const container of [stages, rules])
      container.replaceChildren(h("p", { class: "hint" }, "There is no network for these settings."));
    config.textContent = "";
    copies.hidden = true;
    train.network(null);
    curve.mark(null);
    curve.draw(state.predictor).catch(page.fail);
    showFieldErrors(error.document);
  }

  function whenSettled(state) {
    updateAddress("scale", toAddress(state));
    datasets ??= listDatasets().catch(page.fail);
  }

  async function listDatasets() {
    const items = named ?? (await all("datasets"));
    settings.datasets(items);
    train.datasets(items);
  }

  function clearMessages() {
    status.textContent = invalid ?? "";
    if (!invalid) budget.setError(null);
    for (const id of Object.values(FIELDS)) if (id !== "budget") setError(document.getElementById(id), null);
  }

  function showFieldErrors({ errors = [], min_flops, max_flops }) {
    if (min_flops) budget.setError(`Reachable: ${millions(min_flops)} to ${millions(max_flops)}.`);
    for (const { pointer, message } of errors) {
      const id = Object.entries(FIELDS).find(([prefix]) => pointer.startsWith(prefix))?.[1];
      if (id === "budget") budget.setError(message);
      else if (id) setError(document.getElementById(id), message);
    }
  }

  const reachableBudgets = ({ min_flops, max_flops }) =>
    [
      ["smallest", min_flops],
      ["largest", max_flops],
    ]
      .filter(([, flops]) => flops)
      .map(([name, flops]) =>
        h(
          "button",
          { type: "button", onclick: () => budget.set({ flops }) },
          `Use the ${name} budget: ${millions(flops)}`,
        ),
      );

  function update(state) {
    fresh.awaited();
    request({ state, baseline: baselineFlops });
    settling(settled, () => whenSettled(state), page.fail);
  }

  // Counts the baseline's FLOPs, to which ratios are relative: they depend on the classes of the data set.
  function countBaseline(state) {
    const { architecture, dataset } = state;
    const show = (flops) => {
      baselineFlops = flops;
      budget.show(store.get().target, flops);
      update(store.get());
    };
    if (!dataset) return show(architectures.find((a) => a.name === architecture).flops);
    fresh.awaited();
    return counting(
      (requestSignal) => compute("v1/cost", { architecture, dataset }, requestSignal),
      ({ cost }) => show(cost.flops),
      page.fail,
    );
  }

  store.subscribe((state, changes) =>
    ("architecture" in changes || "dataset" in changes ? countBaseline : update)(state),
  );
  countBaseline(store.get());
}

function settingsCard({ store, architectures, predictors, budgetFields, fail }) {
  const select = (id, key, items, change = (value) => store.set({ [key]: value })) => {
    const control = options(h("select", { id }), items, store.get()[key]);
    control.addEventListener("change", () => change(control.value));
    return control;
  };
  const predictor = select("predictor", "predictor", []);
  const listPredictors = ({ architecture, predictor: chosen }) => {
    const items = selectable(predictors, architecture).map((p) => [p.id, `${predictorName(p)}, ${networks(p)}`]);
    options(predictor, [["", "none of this baseline"], ...items], chosen);
  };
  // A baseline or data set that the user chooses brings its predictor; nothing else changes it.
  const choose = (changes) => {
    const { architecture, dataset } = { ...store.get(), ...changes };
    store.set({ ...changes, predictor: defaultPredictor(predictors, architecture, dataset) });
    listPredictors(store.get());
  };
  const asBaseline = ["", "as the baseline"];
  const dataset = select("dataset", "dataset", [asBaseline], (value) => choose({ dataset: value }));
  const { max_params: limit, architecture } = store.get();
  const maxParams = h("input", {
    type: "number",
    id: "max-params",
    min: 0,
    step: "any",
    placeholder: "any",
    value: limit ? limit / 1e6 : "",
  });
  maxParams.addEventListener("input", () =>
    store.set({ max_params: maxParams.valueAsNumber > 0 ? Math.round(maxParams.valueAsNumber * 1e6) : null }),
  );
  listPredictors(store.get());
  const rule = select("rule", "rule", [[store.get().rule, ruleLabel(store.get().rule)]]);
  // The spec, which has the names of the rules, is large: it is read when they are asked for.
  const listRules = async () => {
    try {
      const { rules } = await specNames();
      options(
        rule,
        rules.map((name) => [name, ruleLabel(name)]),
        store.get().rule,
      );
    } catch (error) {
      fail(error);
    }
  };

  const node = h(
    "section",
    { class: "card controls", "aria-label": "Settings" },
    h(
      "div",
      { class: "fields" },
      budgetFields,
      baselinePicker(architectures, architecture, (name) => choose({ architecture: name })),
      field("Data set", dataset),
    ),
    h(
      "details",
      { id: "options", ontoggle: (event) => event.target.open && listRules() },
      h("summary", {}, "Options"),
      h(
        "div",
        { class: "fields" },
        field("Predictor", predictor),
        field("Rule", rule),
        field(
          "Budget mode",
          select("mode", "mode", [
            ["nearest", "nearest"],
            ["at_most", "at most"],
          ]),
        ),
        field(
          "Tolerance",
          select("tolerance", "tolerance", [
            ["", "0.5 %"],
            ["0.001", "0.1 %"],
            ["0.01", "1 %"],
            ["0.05", "5 %"],
            ["exact", "none: r and d of the rule"],
          ]),
        ),
        field(
          "Pixels",
          select(
            "multiple",
            "multiple",
            ["1", "8", "16", "32"].map((n) => [n, n === "1" ? "any" : `multiples of ${n}`]),
          ),
        ),
        field("Parameters at most, millions", maxParams),
      ),
    ),
  );
  return {
    node,
    datasets(items) {
      const classes = items.map((d) => [d.name, `${datasetName(d.name)}, ${integer(d.num_classes)} classes`]);
      options(dataset, [asBaseline, ...classes], store.get().dataset);
    },
  };
}

function curl(body) {
  const key = currentKey() ? ' -H "Authorization: Bearer $RDW_KEY"' : "";
  const url = new URL("v1/scale", document.baseURI);
  return `curl -s ${url} -H 'Content-Type: application/json'${key} -d '${JSON.stringify(body)}'`;
}
