// The dashboard: a view for each address. It uses the public API only.

import { baseline } from "./baseline-view.js";
import { baselines } from "./baselines.js";
import { compare } from "./compare.js";
import { dataset } from "./dataset.js";
import { datasets } from "./datasets.js";
import { setUpKey } from "./key.js";
import { predictor } from "./predictor.js";
import { predictors } from "./predictors.js";
import { start } from "./router.js";
import { scale } from "./scale.js";
import { studies } from "./studies.js";
import { study } from "./study.js";
import { setUpTheme } from "./theme.js";
import { trial } from "./trial.js";
import { trials } from "./trials.js";
import { workers } from "./workers.js";

setUpTheme(document.getElementById("theme"));
setUpKey(document.getElementById("key"));
start(
  {
    scale,
    studies,
    "studies/": study,
    "studies//": study,
    trials,
    "trials/": trial,
    predictors,
    "predictors/": predictor,
    compare,
    datasets,
    "datasets/": dataset,
    baselines,
    "baselines/": baseline,
    workers,
  },
  document.getElementById("main"),
);
