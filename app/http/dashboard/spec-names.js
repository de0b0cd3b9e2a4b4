// The names in the OpenAPI spec of the service: rules, presets, figures, states. The spec is loaded once.

import { get } from "./api.js";

/** @typedef {{rules: string[], presets: string[], figures: string[], trialStates: string[]}} SpecNames */

/** @type {Promise<SpecNames> | null} */
let cachedNames = null;

// The request is not aborted with the view, since the next view uses the same result.
/** @returns {Promise<SpecNames>} */
export function specNames() {
  cachedNames ??= get("openapi.json").then(parseSpec).catch((error) => {
    cachedNames = null;
    throw error;
  });
  return cachedNames;
}

function parseSpec({ components: { schemas }, paths }) {
  const figure = paths["/v1/studies/{id}/figures/{name}.{format}"].get.parameters.find((parameter) => parameter.name === "name");
  return {
    rules: values(schemas.FamilyRequest.properties.rule), // all except `manual`
    presets: values(schemas.TrainSpec.properties.recipe),
    figures: values(figure.schema),
    trialStates: values(schemas.TrialItem.properties.state),
    suggestionStates: values(schemas.SuggestionItem.properties.state),
  };
}

// Finds the enum of a schema, also among its alternatives.
function values(schema) {
  if (schema.enum) return schema.enum;
  for (const alternative of schema.anyOf ?? schema.oneOf ?? []) {
    const names = values(alternative);
    if (names) return names;
  }
  return null;
}

// Sorts names in the preferred order, followed by the others.
export const ordered = (names, preferred) => [
  ...preferred.filter((name) => names.includes(name)),
  ...names.filter((name) => !preferred.includes(name)),
];
