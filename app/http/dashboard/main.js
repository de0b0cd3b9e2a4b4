// The dashboard: a view for each address. It uses the public API only.

import { catalog } from "./catalog.js";
import { dataset } from "./dataset.js";
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
    trials,
    "trials/": trial,
    predictors,
    "predictors/": predictor,
    catalog,
    "datasets/": dataset,
    workers,
  },
  document.getElementById("main"),
);
