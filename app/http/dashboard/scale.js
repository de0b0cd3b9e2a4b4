// A baseline and a budget in, a network out: every move of the budget asks the service anew.

import { all, compute, get, left, query } from "./api.js";
import { baselinePicker } from "./baseline.js";
import { budgetControl, LEAST, MOST } from "./budget.js";
import { copyButton } from "./clipboard.js";
import { curves } from "./curve.js";
import { field, h, options } from "./dom.js";
import { fixed, millions, percent, signedPercent } from "./format.js";
import { currentKey } from "./key.js";
import { newest } from "./newest.js";
import { pause } from "./pause.js";
import { pythonOf } from "./rebuild.js";
import { remember } from "./router.js";
import { RULES, rulesTable } from "./rules.js";
import { stageCosts } from "./stages.js";
import { trainForm } from "./train.js";
import { loading, problemBox } from "./words.js";

const PUBLISHED = "published-tinynets";
const SETTLED = 500; // ms after the last move, before the address and the screen reader are told

export async function scale(page) {
  const { root, signal } = page;
  page.title("Scale");
  root.append(loading());
  const [architectures, predictors] = await Promise.all([all("v1/architectures", signal), all("v1/predictors", signal)]);
  const state = chosen(page.query, architectures, predictors);
  const baseline = () => architectures.find((a) => a.name === state.architecture);

  const budget = budgetControl((target) => {
    state.target = target;
    move();
  });
  const predictor = h("select", { id: "predictor" });
  const train = trainForm(page);
  const parts = {
    readouts: readouts(),
    facts: h("dl", { class: "facts" }),
    notes: h("div", { class: "notes" }),
    stages: h("div", {}),
    rules: h("div", { class: "rules" }),
  };
  const config = h("pre", { tabindex: "0", "aria-label": "The config as JSON" });
  const chart = curves({
    least: LEAST,
    most: MOST,
    onPick: (c) => budget.set({ ratio: Number(c.toPrecision(4)) }),
  });
  const told = h("p", { class: "unseen", role: "status", id: "told" });
  const origin = h("p", { class: "hint" });
  let answer = null;

  const select = (id, label, items, key, hint) => {
    const control = options(h("select", { id }), items, String(state[key]));
    control.addEventListener("change", () => {
      state[key] = control.value;
      move();
    });
    return field(label, control, hint);
  };

  predictor.addEventListener("change", () => {
    state.predictor = predictor.value;
    move();
  });

  function ofArchitecture() {
    const own = predictors.filter((p) => p.architecture === state.architecture || p.id === PUBLISHED);
    if (!own.some((p) => p.id === state.predictor)) state.predictor = "";
    options(predictor, [["", "active"], ...own.map((p) => [p.id, `${p.dataset}, version ${p.version}`])], state.predictor);
  }

  const controls = h(
    "section",
    { class: "card controls", "aria-label": "What to scale" },
    h(
      "div",
      { class: "fields" },
      baselinePicker(architectures, state.architecture, (name) => {
        state.architecture = name;
        ofArchitecture();
        budget.show(state.target, baseline().flops);
        move();
      }),
      select("rule", "Rule", Object.entries(RULES), "rule"),
      select("mode", "Meet the budget", [["nearest", "nearest"], ["at_most", "never above"]], "mode"),
      select("multiple", "Pixels", ["1", "8", "16", "32"].map((n) => [n, n === "1" ? "any" : `multiples of ${n}`]), "multiple"),
      field("Predictor", predictor),
    ),
    budget.node,
  );
  const copies = h(
    "p",
    { class: "actions" },
    copyButton("Copy config", () => JSON.stringify(answer?.config, null, 2)),
    copyButton("Copy Python for timm", () => pythonOf(answer.config.timm)),
    copyButton("Copy curl", () => curl(request(state))),
  );
  root.replaceChildren(
    controls,
    h("section", { class: "result", "aria-label": "The network" }, parts.notes, parts.readouts.node, parts.facts, told),
    h("section", { class: "card" }, h("h2", {}, "The curve"), chart.node, origin),
    h("section", { class: "card" }, h("h2", {}, "Cost by stage"), parts.stages),
    h("section", { class: "card" }, h("h2", {}, "Rules side by side"), parts.rules),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Take it along"),
      copies,
      h("details", {}, h("summary", {}, "The config"), config),
    ),
    train.node,
  );

  const asking = newest(signal);
  const comparing = newest(signal);
  const settling = newest(signal);
  let drawn = null;

  function move() {
    const body = request(state);
    asking(
      async (own) => {
        const found = await compute("v1/scale", body, own);
        const cost = await compute("v1/cost", { config: found.config }, own);
        return { found, cost: cost.cost };
      },
      ({ found, cost }) => {
        answer = found;
        parts.notes.replaceChildren(...found.warnings.map((w) => h("p", { class: "warning" }, w.detail)));
        parts.readouts.show(found);
        parts.facts.replaceChildren(...facts(found, cost));
        parts.stages.replaceChildren(stageCosts(cost));
        config.textContent = JSON.stringify(found.config, null, 2);
        copies.hidden = false;
        train.network(body);
        chart.mark({
          c: found.cost.flops / baseline().flops,
          r: found.multipliers.r,
          d: found.multipliers.d,
          accuracy: found.predicted_accuracy?.mean ?? null,
        });
        drawCurve(found.predictor?.id).catch(page.fail);
      },
      (error) => {
        answer = null;
        parts.notes.replaceChildren(problemBox(error, reachable(error.document)));
        parts.readouts.show(null);
        parts.facts.replaceChildren();
        parts.stages.replaceChildren(h("p", { class: "hint" }, "No network, no cost."));
        config.textContent = "";
        copies.hidden = true;
        train.network(null);
        chart.mark(null);
        drawCurve().catch(page.fail);
      },
    );
    comparing(
      (own) => compute("v1/compare", { ...body, rule: undefined }, own),
      ({ items }) => parts.rules.replaceChildren(rulesTable(items, state.rule)),
      (error) => parts.rules.replaceChildren(problemBox(error)),
    );
    settling(
      (own) => pause(SETTLED, own),
      () => {
        remember("scale", { ...state, target: null, ...state.target });
        if (answer) told.textContent = spoken(answer);
      },
      page.fail,
    );
  }

  const reachable = ({ least, most }) =>
    [["least", least], ["most", most]]
      .filter(([, flops]) => flops)
      .map(([name, flops]) =>
        h("button", { type: "button", onclick: () => budget.set({ flops }) }, `Take the ${name}: ${millions(flops)}`),
      );

  // The curve of the predictor in use; where a rule uses none, of the one that would be.
  async function drawCurve(used) {
    const active = predictors.find((p) => p.architecture === state.architecture && p.active);
    const id = used ?? (state.predictor || active?.id || PUBLISHED);
    if (id === drawn) return;
    drawn = id;
    try {
      const [one, curve, published] = await Promise.all([
        get(`v1/predictors/${id}`, signal),
        get(query(`v1/predictors/${id}/curve`, { least: LEAST, most: MOST, steps: 120 }), signal),
        get(`v1/predictors/${PUBLISHED}`, signal),
      ]);
      if (drawn !== id) return;
      chart.data({ curve, points: one.points, published: published.points });
      origin.replaceChildren(
        `Bands hold 90 %; where the ground is shaded there is no data. A to E: the published TinyNets. Predictor: ${one.architecture} on ${one.dataset}, version ${one.version}, ${one.observations} points. `,
        h("a", { href: `#/predictors/${one.id}` }, "Its points and quality"),
      );
    } catch (error) {
      drawn = null;
      if (!left(error)) throw error;
    }
  }

  ofArchitecture();
  budget.show(state.target, baseline().flops);
  move();
}

function chosen(given, architectures, predictors) {
  const one = (key, allowed, otherwise) => (allowed.includes(given.get(key)) ? given.get(key) : otherwise);
  const names = architectures.map((a) => a.name);
  const [flops, ratio] = [Number(given.get("flops")), Number(given.get("ratio"))];
  return {
    architecture: one("architecture", names, names.includes("efficientnet_b0") ? "efficientnet_b0" : names[0]),
    rule: one("rule", Object.keys(RULES), "tiny_formula"),
    mode: one("mode", ["nearest", "at_most"], "nearest"),
    multiple: one("multiple", ["1", "8", "16", "32"], "1"),
    predictor: one("predictor", predictors.map((p) => p.id), ""),
    target: flops > 0 ? { flops: Math.round(flops) } : { ratio: ratio > 0 ? ratio : 0.258 },
  };
}

function request(state) {
  return {
    architecture: state.architecture,
    target: state.target,
    rule: state.rule,
    ...(state.predictor ? { predictor: state.predictor } : {}),
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
      cells.r.value.textContent = fixed(m?.r, 3);
      cells.r.more.textContent = m?.r_sd ? `± ${fixed(m.r_sd, 3)}` : "";
      cells.d.value.textContent = fixed(m?.d, 3);
      cells.d.more.textContent = m?.d_sd ? `± ${fixed(m.d_sd, 3)}` : "";
      cells.w.value.textContent = fixed(m?.w, 3);
      cells.w.more.textContent = m?.w_interval ? `${fixed(m.w_interval[0], 3)} to ${fixed(m.w_interval[1], 3)}` : "";
      cells.px.value.textContent = answer ? String(answer.config.resolution) : "–";
      cells.px.more.textContent = answer ? "square" : "";
    },
  };
}

function facts(answer, cost) {
  const accuracy = answer.predicted_accuracy;
  const pairs = [
    ["Multiply-adds", millions(answer.cost.flops), "fact-flops"],
    ["Off budget", signedPercent(answer.budget_error), "fact-error"],
    ["Parameters", millions(answer.cost.params), "fact-params"],
    ["fvcore counts", millions(cost.fvcore_total)],
    ["Peak activations", `${(cost.peak_activation_bytes / 2 ** 20).toFixed(2)} MiB`],
    [
      accuracy ? `Top-1, ${accuracy.dataset}` : "Predicted accuracy",
      accuracy ? `${percent(accuracy.mean)} ± ${percent(accuracy.sd)}` : "not predicted",
      "fact-accuracy",
    ],
  ];
  return pairs.map(([name, value, id]) => h("div", {}, h("dt", {}, name), h("dd", { id }, value)));
}

const spoken = ({ multipliers: m, config, cost, budget_error }) =>
  `r ${fixed(m.r, 3)}, d ${fixed(m.d, 3)}, w ${fixed(m.w, 3)}, ${config.resolution} pixels, ` +
  `${millions(cost.flops)} multiply-adds, ${signedPercent(budget_error)} off the budget.`;

const curl = (body) =>
  `curl -s ${new URL("v1/scale", document.baseURI)} -H 'Content-Type: application/json'${currentKey() ? ' -H "Authorization: Bearer $RDW_KEY"' : ""} -d '${JSON.stringify(body)}'`;
