// The family of a study: the networks of each rule for several budgets, trained to compare the rules.

import { change, get } from "./api.js";
import { chart } from "./chart.js";
import { numberColumn } from "./columns.js";
import { field, h } from "./dom.js";
import { ACCURACY_AXIS, fixed, integer, millions, multiplier, percent, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { onSubmit, state } from "./messages.js";
import { addressOf } from "./route.js";
import { ruleLabel } from "./rules.js";
import { lineStyle } from "./side-by-side.js";

const DEFAULT_RULES = ["tiny_formula", "surrogate", "compound"];
const NOT_TRAINED = ["auto"]; // stands for one of the others

const LIST = {
  caption: "Networks of the family, by budget",
  columns: [
    { ...numberColumn("Budget", (m) => m.target_flops, millions), head: true },
    { label: "Rule", value: (m) => m.rule, cell: (m) => ruleLabel(m.rule) },
    { label: "Recipe", value: (m) => m.recipe, cell: (m) => m.recipe },
    numberColumn("Multiply-adds", (m) => m.flops, millions),
    ...["r", "d", "w"].map((name) => numberColumn(name, (m) => m.multipliers?.[name], multiplier)),
    numberColumn("Predicted", (m) => m.predicted_accuracy?.mean, percent),
    {
      label: "Accuracy",
      number: true,
      value: (m) => m.mean,
      cell: (m) => (m.mean === null ? "–" : `${percent(m.mean)}${m.sd === null ? "" : ` ± ${percent(m.sd)}`}`),
    },
    numberColumn(
      "Latency, ms",
      (m) => m.latency_ms,
      (v) => fixed(v, 2),
    ),
    {
      label: "Trials",
      text: true,
      cell: (m) =>
        m.problem ??
        m.trials.map((t) => [h("a", { href: addressOf("trials", t.id) }, shortId(t.id)), " ", state(t.state), " "]),
    },
  ],
  textOf: (m) => `${ruleLabel(m.rule)} ${m.rule} ${m.recipe} ${m.problem ?? ""}`,
  empty: "No family was trained yet.",
};

export function family(page, path, spec) {
  const message = h("div", { role: "status" });
  const list = itemList(page, LIST);
  const drawn = chart({
    title: "Accuracy of the rules by budget",
    x: { label: "Multiply-adds, millions", text: millions, tick: (v) => String(v / 1e6), log: true },
    y: ACCURACY_AXIS,
    height: 280,
    signal: page.signal,
  });
  const card = h("section", { class: "card", hidden: true }, h("h2", {}, "Chart"), drawn.node);
  const rules = spec.rules.filter((name) => !NOT_TRAINED.includes(name));
  page.root.append(
    familyForm(path, rules, message, page.refresh),
    message,
    card,
    h("section", { class: "card" }, h("h2", {}, "Family"), list.node),
  );
  return {
    async update() {
      const { items } = await get(`${path}/family`, page.signal);
      list.show(items);
      const trained = items.filter((m) => m.mean !== null);
      card.hidden = !trained.length;
      drawn.show({ series: seriesOf(trained) });
    },
  };
}

// Returns a line for each rule and recipe.
function seriesOf(members) {
  const name = (m) => `${ruleLabel(m.rule)}${m.recipe === "same" ? "" : `, ${m.recipe}`}`;
  return [...new Set(members.map(name))].map((label, i) => ({
    label,
    ...lineStyle(i),
    line: true,
    dots: "filled",
    items: members
      .filter((m) => name(m) === label)
      .sort((a, b) => a.flops - b.flops)
      .map((m) => ({ x: m.flops, y: m.mean, href: m.trials[0] && addressOf("trials", m.trials[0].id) })),
  }));
}

function familyForm(path, rules, message, done) {
  const ratios = h("input", { id: "family-ratios", value: "0.25 0.5", required: true, autocomplete: "off" });
  const seeds = h("input", { id: "family-seeds", type: "number", min: 1, max: 20, step: 1, value: 1, required: true });
  const boxes = (names, chosen) =>
    names.map((name) => ({
      name,
      input: h("input", { type: "checkbox", id: `family-${name}`, checked: chosen.includes(name) }),
    }));
  const [ruleBoxes, recipeBoxes] = [boxes(rules, DEFAULT_RULES), boxes(["same", "randaugment"], ["same"])];
  const group = (title, all, label) =>
    h(
      "fieldset",
      { class: "checks" },
      h("legend", {}, title),
      all.map(({ name, input }) => h("span", {}, input, " ", h("label", { for: input.id }, label(name)))),
    );
  const button = h("button", { type: "submit", class: "primary" }, "Train the family");
  const checked = (all) => all.filter(({ input }) => input.checked).map(({ name }) => name);

  async function train() {
    const targets = ratios.value
      .split(/[\s,;]+/)
      .filter(Boolean)
      .map((text) => ({ ratio: Number(text) }));
    const body = { targets, rules: checked(ruleBoxes), recipes: checked(recipeBoxes), seeds: seeds.valueAsNumber };
    const { items } = await change(`${path}/family`, body);
    message.textContent = `The family has ${integer(items.length)} networks.`;
    done();
  }

  const form = h(
    "form",
    { onsubmit: onSubmit(button, train, message) },
    h(
      "div",
      { class: "fields" },
      field("Ratios to the baseline", ratios, "At most 20, separated by spaces."),
      field("Seeds per network", seeds),
    ),
    group("Rules", ruleBoxes, ruleLabel),
    group("Recipes", recipeBoxes, (name) => ({ same: "the study's", randaugment: "with RandAugment" })[name]),
    h("p", { class: "actions" }, button),
  );
  return h("section", { class: "card" }, h("details", { id: "new-family" }, h("summary", {}, "Train a family"), form));
}
