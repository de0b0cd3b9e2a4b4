// Puts a predictor's version to use, if it is still what the reader saw.

import { change, respond } from "./api.js";
import { confirmed } from "./dialog.js";

export async function activate(predictor, signal) {
  const response = await respond(`v1/predictors/${predictor.id}`, { signal });
  const tag = response.headers.get("ETag");
  await response.json();
  const sure = await confirmed(
    `Use version ${predictor.version}?`,
    `From now on recommendations for ${predictor.architecture} on ${predictor.dataset} come from it. The version in use now stays, and can be used again.`,
    "Use it",
  );
  if (!sure) return false;
  await change(`v1/predictors/${predictor.id}/activate`, undefined, tag ? { "If-Match": tag } : {});
  return true;
}
