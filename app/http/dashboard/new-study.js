// The form for a new study: what it would take is said before it is created.

import { all, change, compute, get } from "./api.js";
import { field, h, options } from "./dom.js";
import { duration } from "./format.js";
import { newest } from "./newest.js";
import { PRESETS } from "./presets.js";
import { problemBox } from "./words.js";

const pair = (id, label, low, high) => {
  const ends = [low, high].map((value, i) =>
    h("input", { type: "number", id: `${id}-${i ? "most" : "least"}`, min: 0, step: "any", value, required: true, "aria-label": `${label}, ${i ? "most" : "least"}` }),
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
  const space = { r: pair("r", "r", 0.4, 1.2), d: pair("d", "d", 0.4, 1.4), w: pair("w", "w", 0.2, 2), ratio: pair("c", "Ratio to the baseline", 0.1, 1) };
  const said = h("div", { role: "status" });
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
      field("Sampler", sampler, "Active draws where it promises most."),
      field("Networks", trials),
      field("Compound-shrunk beside", compound),
      field("Seeds a network", seeds),
      field("First seed", seed),
    ),
    h("div", { class: "fields" }, Object.values(space).map((one) => one.node)),
    h("p", { class: "actions" }, create, h("button", { type: "button", onclick: () => estimate() }, "What would it take?")),
    said,
  );
  const details = h("details", { id: "new-study" }, h("summary", {}, "New study"), form);
  const estimating = newest(page.signal);
  let datasets = null;

  const recipes = () => {
    const task = datasets.find((d) => d.name === dataset.value)?.task ?? "classification";
    options(recipe, PRESETS[task].map((one) => [one, one]));
  };
  const wanted = () => ({
    name: name.value || "unnamed",
    architecture: architecture.value,
    dataset: dataset.value,
    recipe: recipe.value,
    sampler: sampler.value,
    trials: trials.valueAsNumber,
    compound: compound.valueAsNumber,
    seeds: seeds.valueAsNumber,
    seed: seed.valueAsNumber,
    space: Object.fromEntries(Object.entries(space).map(([key, one]) => [key, one.value()])),
  });

  const estimate = () =>
    estimating(
      (own) => compute("v1/studies", { ...wanted(), validate_only: true }, own),
      ({ estimate: e }) =>
        (said.textContent = `All its trainings would take one worker about ${duration(e.seconds)}, nine times in ten ${duration(e.low)} to ${duration(e.high)}.`),
      (error) => said.replaceChildren(problemBox(error)),
    );

  details.addEventListener("toggle", async () => {
    if (!details.open || datasets) return;
    try {
      const [sets, names] = await Promise.all([get("v1/datasets", page.signal), all("v1/architectures", page.signal)]);
      datasets = sets.items.filter((d) => d.missing === null);
      options(dataset, datasets.map((d) => [d.name, d.name]));
      options(architecture, names.map((a) => [a.name, a.name]), "efficientnet_b0");
      recipes();
    } catch (error) {
      page.fail(error);
    }
  });
  dataset.addEventListener("change", recipes);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    create.disabled = true;
    try {
      const made = await change("v1/studies", wanted());
      location.hash = `#/studies/${made.id}`;
    } catch (error) {
      said.replaceChildren(problemBox(error));
      create.disabled = false;
    }
  });
  return h("section", { class: "card" }, details);
}
