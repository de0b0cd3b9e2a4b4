// The presets of recipes for a data set. Those of detection start with `detection-`.

import { options } from "./dom.js";

export function fillRecipes(select, datasets, dataset, presets) {
  const task = datasets.find((d) => d.name === dataset)?.task ?? "classification";
  const fitting = presets.filter((name) => name.startsWith("detection-") === (task === "detection"));
  options(select, fitting.map((name) => [name, name]));
}
