// "Train this": what it would take first, then the trial.

import { change, compute, get } from "./api.js";
import { field, h, options } from "./dom.js";
import { duration } from "./format.js";
import { newest } from "./newest.js";
import { PRESETS } from "./presets.js";
import { problemBox } from "./words.js";

export function trainForm(page) {
  const dataset = h("select", { id: "train-dataset" });
  const recipe = h("select", { id: "train-recipe" });
  const seed = h("input", { type: "number", id: "train-seed", min: 0, max: 2 ** 31 - 1, step: 1, value: 0, required: true });
  const said = h("div", { role: "status" });
  const start = h("button", { type: "submit", class: "primary" }, "Train this");
  const form = h(
    "form",
    { class: "fields" },
    field("Data set", dataset),
    field("Recipe", recipe),
    field("Seed", seed),
    h("p", { class: "actions" }, start),
  );
  const details = h("details", { id: "train" }, h("summary", {}, "Train this network"), form, said);
  const estimating = newest(page.signal);
  let body = null;
  let datasets = null;

  const recipes = () => {
    const task = datasets.find((d) => d.name === dataset.value)?.task ?? "classification";
    options(recipe, PRESETS[task].map((name) => [name, name]));
  };
  const wanted = (more) => ({
    ...body,
    train: { dataset: dataset.value, recipe: recipe.value, seed: seed.valueAsNumber, ...more },
  });

  async function estimate() {
    start.disabled = !body;
    if (!body || !datasets || !details.open) return;
    await estimating(
      (own) => compute("v1/scale", wanted({ validate_only: true }), own),
      ({ estimate: e }) =>
        (said.textContent =
          `It would take about ${duration(e.seconds)}, nine times in ten ${duration(e.low)} to ${duration(e.high)}` +
          (e.trainings ? `, by ${e.trainings} trainings before.` : ": a guess, nothing was trained here yet.")),
      (error) => said.replaceChildren(problemBox(error)),
    );
  }

  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      datasets ??= (await get("v1/datasets", page.signal)).items.filter((d) => d.missing === null);
      if (!dataset.options.length) {
        options(dataset, datasets.map((d) => [d.name, d.name]));
        recipes();
      }
      await estimate();
    } catch (error) {
      page.fail(error);
    }
  });
  dataset.addEventListener("change", () => {
    recipes();
    estimate();
  });
  recipe.addEventListener("change", estimate);
  seed.addEventListener("input", estimate);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    start.disabled = true;
    try {
      const { trial } = await change("v1/scale", wanted());
      location.hash = `#/trials/${trial.id}`;
    } catch (error) {
      said.replaceChildren(problemBox(error));
      start.disabled = false;
    }
  });
  return {
    node: h("section", { class: "card" }, details),
    network(request) {
      body = request;
      estimate();
    },
  };
}
