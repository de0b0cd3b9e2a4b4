// Activates or deactivates a version of a predictor.

import { change, readTag } from "./api.js";
import { confirmAction } from "./dialog.js";

// Does nothing if the version has changed since it was read.
export async function activate(predictor, signal) {
  const headers = await readTag(`v1/predictors/${predictor.id}`, signal);
  const isConfirmed = await confirmAction(
    `Activate version ${predictor.version}?`,
    `Recommendations for ${predictor.architecture} on ${predictor.dataset} will use it. The current version is kept and can be activated again.`,
    "Activate this version",
  );
  if (!isConfirmed) return false;
  await change(`v1/predictors/${predictor.id}/activate`, undefined, headers);
  return true;
}

export async function deactivate(predictor) {
  const isConfirmed = await confirmAction(
    `Deactivate version ${predictor.version}?`,
    `Recommendations for ${predictor.architecture} use the built-in predictor until another version is activated. This one is kept.`,
    "Deactivate this version",
  );
  if (isConfirmed) await change(`v1/predictors/${predictor.id}/deactivate`);
  return isConfirmed;
}
