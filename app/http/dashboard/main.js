// The dashboard: a view for each address. It uses the public API only.

import { delay } from "./delay.js";
import { setUpKey } from "./key.js";
import { lazyView } from "./lazy-view.js";
import { isPresent } from "./presence.js";
import { start } from "./router.js";
import { setUpTheme } from "./theme.js";

const PAUSE = 1000; // ms

// The page preloads the modules of `scale`; another view is loaded when it is first opened.
const study = lazyView(() => import("./study.js"), "study");
const views = {
  scale: lazyView(() => import("./scale.js"), "scale"),
  studies: lazyView(() => import("./studies.js"), "studies"),
  "studies/": study,
  "studies//": study,
  trials: lazyView(() => import("./trials.js"), "trials"),
  "trials/": lazyView(() => import("./trial.js"), "trial"),
  predictors: lazyView(() => import("./predictors.js"), "predictors"),
  "predictors/": lazyView(() => import("./predictor.js"), "predictor"),
  compare: lazyView(() => import("./compare.js"), "compare"),
  datasets: lazyView(() => import("./datasets.js"), "datasets"),
  "datasets/": lazyView(() => import("./dataset.js"), "dataset"),
  baselines: lazyView(() => import("./baselines.js"), "baselines"),
  "baselines/": lazyView(() => import("./baseline-view.js"), "baseline"),
  workers: lazyView(() => import("./workers.js"), "workers"),
  keys: lazyView(() => import("./keys.js"), "keys"),
};

// Loads the views that were not opened, so that an outage closes none: when nobody drags anything.
async function loadRest() {
  while (isPresent()) await delay(PAUSE);
  for (const { load } of Object.values(views)) await load().catch(() => {});
}

setUpTheme(document.getElementById("theme"));
setUpKey(document.getElementById("key"));
start(views, document.getElementById("main"));
loadRest();
