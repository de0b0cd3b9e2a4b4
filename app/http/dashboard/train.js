// The form to estimate and start a training of the network that is shown.

import { change, compute } from "./api.js";
import { field, h, options } from "./dom.js";
import { describeEstimate } from "./format.js";
import { specNames } from "./spec-names.js";
import { latestOnly } from "./latest-only.js";
import { fillRecipes } from "./presets.js";
import { problemBox } from "./messages.js";

export function trainForm(page) {
  const dataset = h("select", { id: "train-dataset" });
  const recipe = h("select", { id: "train-recipe" });
  const seed = h("input", { type: "number", id: "train-seed", min: 0, max: 2 ** 31 - 1, step: 1, value: 0, required: true });
  const message = h("div", { role: "status" });
  const start = h("button", { type: "submit", class: "primary" }, "Train");
  const form = h(
    "form",
    { class: "fields" },
    field("Data set", dataset),
    field("Recipe", recipe),
    field("Seed", seed),
    h("p", { class: "actions" }, start),
  );
  const details = h("details", { id: "train" }, h("summary", {}, "Train this network"), form, message);
  const estimating = latestOnly(page.signal);
  /** @type {object | null} */
  let body = null;
  let countedDataset = ""; // the data set whose number of classes the shown network has
  let datasets = []; // those that can be read
  /** @type {string[] | null} */
  let presets = null;

  const updateRecipes = () => presets && datasets.length && fillRecipes(recipe, datasets, dataset.value, presets);
  const requestBody = (more) => ({
    ...body,
    dataset: dataset.value,
    recipe: recipe.value,
    seed: seed.valueAsNumber,
    ...more,
  });

  async function estimate() {
    start.disabled = !body;
    if (!body || !recipe.value || !details.open) return;
    await estimating(
      (requestSignal) => compute("v1/trials", requestBody({ validate_only: true }), requestSignal),
      ({ estimate: e }) =>
        (message.textContent = describeEstimate(e)),
      (error) => message.replaceChildren(problemBox(error)),
    );
  }

  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      presets ??= (await specNames()).presets;
      if (!recipe.options.length) updateRecipes();
      await estimate();
    } catch (error) {
      page.fail(error);
    }
  });
  dataset.addEventListener("change", () => {
    updateRecipes();
    estimate();
  });
  recipe.addEventListener("change", estimate);
  seed.addEventListener("input", estimate);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    start.disabled = true;
    try {
      const { id } = await change("v1/trials", requestBody());
      location.hash = `#/trials/${id}`;
    } catch (error) {
      message.replaceChildren(problemBox(error));
      start.disabled = false;
    }
  });
  return {
    node: h("section", { class: "card" }, details),
    datasets(all) {
      datasets = all.filter((d) => d.missing === null);
      const chosen = datasets.some((d) => d.name === countedDataset) ? countedDataset : undefined;
      options(dataset, datasets.map((d) => [d.name, d.name]), chosen);
      updateRecipes();
      estimate();
    },
    network(request, newDataset = countedDataset) {
      body = request;
      if (newDataset !== countedDataset && datasets.some((d) => d.name === newDataset)) {
        dataset.value = newDataset;
        updateRecipes();
      }
      countedDataset = newDataset;
      estimate();
    },
  };
}
