// The form to estimate and create a study.

import { getAll, change, compute, get } from "./api.js";
import { field, h, options } from "./dom.js";
import { describeEstimate } from "./format.js";
import { specNames } from "./spec-names.js";
import { latestOnly } from "./latest-only.js";
import { fillRecipes } from "./presets.js";
import { problemBox } from "./messages.js";

const rangeField = (id, label, low, high) => {
  const ends = [low, high].map((value, i) =>
    h("input", { type: "number", id: `${id}-${i ? "max" : "min"}`, min: 0, step: "any", value, required: true, "aria-label": `${label}, ${i ? "max" : "min"}` }),
  );
  return {
    node: h("fieldset", { class: "pair-field" }, h("legend", {}, label), ends[0], h("span", { "aria-hidden": "true" }, "to"), ends[1]),
    value: () => ends.map((input) => input.valueAsNumber),
  };
};

export function newStudy(page) {
  const name = h("input", { id: "study-name", required: true, maxlength: 200, autocomplete: "off" });
  const architecture = h("select", { id: "study-architecture" });
  const dataset = h("select", { id: "study-dataset" });
  const recipe = h("select", { id: "study-recipe" });
  const sampler = options(h("select", { id: "study-sampler" }), [["random", "random"], ["active", "active"]], "random");
  const number = (id, value, min, max) => h("input", { type: "number", id, value, min, max, step: 1, required: true });
  const trials = number("study-trials", 12, 1, 1000);
  const compound = number("study-compound", 0, 0, 100);
  const seeds = number("study-seeds", 1, 1, 20);
  const seed = number("study-seed", 0, 0, 2 ** 31 - 1);
  const space = { r: rangeField("r", "r", 0.4, 1.2), d: rangeField("d", "d", 0.4, 1.4), w: rangeField("w", "w", 0.2, 2), ratio: rangeField("c", "Ratio to the baseline", 0.1, 1) };
  const message = h("div", { role: "status" });
  const create = h("button", { type: "submit", class: "primary" }, "Create");
  const form = h(
    "form",
    {},
    h(
      "div",
      { class: "fields" },
      field("Name", name),
      field("Architecture", architecture),
      field("Data set", dataset),
      field("Recipe", recipe),
      field("Sampler", sampler, "Active samples where the front is expected to improve most."),
      field("Networks", trials),
      field("Compound networks to compare", compound),
      field("Seeds per network", seeds),
      field("First seed", seed),
    ),
    h("div", { class: "fields" }, Object.values(space).map((item) => item.node)),
    h("p", { class: "actions" }, create, h("button", { type: "button", onclick: () => estimate() }, "Estimate")),
    message,
  );
  const details = h("details", { id: "new-study" }, h("summary", {}, "New study"), form);
  const estimating = latestOnly(page.signal);
  /** @type {any[] | null} */
  let datasets = null; // those that can be read
  /** @type {string[]} */
  let presets = [];

  const updateRecipes = () => fillRecipes(recipe, datasets ?? [], dataset.value, presets);
  const requestBody = () => ({
    name: name.value || "unnamed",
    architecture: architecture.value,
    dataset: dataset.value,
    recipe: recipe.value,
    sampler: sampler.value,
    trials: trials.valueAsNumber,
    compound: compound.valueAsNumber,
    seeds: seeds.valueAsNumber,
    seed: seed.valueAsNumber,
    space: Object.fromEntries(Object.entries(space).map(([key, item]) => [key, item.value()])),
  });

  const estimate = () =>
    estimating(
      (requestSignal) => compute("v1/studies", { ...requestBody(), validate_only: true }, requestSignal),
      ({ estimate: e }) =>
        (message.textContent = `All trainings on one worker. ${describeEstimate(e)}`),
      (error) => message.replaceChildren(problemBox(error)),
    );

  details.addEventListener("toggle", async () => {
    if (!details.open || datasets) return;
    try {
      const [sets, architectures, spec] = await Promise.all([
        get("v1/datasets", page.signal),
        getAll("v1/architectures", page.signal),
        specNames(),
      ]);
      presets = spec.presets;
      const readable = sets.items.filter((d) => d.missing === null);
      datasets = readable;
      options(dataset, readable.map((d) => [d.name, d.name]));
      options(architecture, architectures.map((a) => [a.name, a.name]), "efficientnet_b0");
      updateRecipes();
    } catch (error) {
      page.fail(error);
    }
  });
  dataset.addEventListener("change", updateRecipes);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    create.disabled = true;
    try {
      const study = await change("v1/studies", requestBody());
      location.hash = `#/studies/${study.id}`;
    } catch (error) {
      message.replaceChildren(problemBox(error));
      create.disabled = false;
    }
  });
  return h("section", { class: "card" }, details);
}
