// The dashboard: a view for each address. It uses the public API only.

import { setUpKey } from "./key.js";
import { start } from "./router.js";
import { setUpTheme } from "./theme.js";

const REST = 2000; // ms after which the views that were not opened are loaded, so that an outage closes none

// The page preloads the modules of the landing page; another view is loaded when it is first opened.
const views = {
  scale: async () => (await import("./scale.js")).scale,
  studies: async () => (await import("./studies.js")).studies,
  "studies/": async () => (await import("./study.js")).study,
  trials: async () => (await import("./trials.js")).trials,
  "trials/": async () => (await import("./trial.js")).trial,
  predictors: async () => (await import("./predictors.js")).predictors,
  "predictors/": async () => (await import("./predictor.js")).predictor,
  catalog: async () => (await import("./catalog.js")).catalog,
  "datasets/": async () => (await import("./dataset.js")).dataset,
  workers: async () => (await import("./workers.js")).workers,
};

async function loadRest() {
  for (const load of Object.values(views)) await load().catch(() => {});
}

setUpTheme(document.getElementById("theme"));
setUpKey(document.getElementById("key"));
start(views, document.getElementById("main"));
setTimeout(loadRest, REST);
