// The observations of a study, read once for all of its parts.

import { get, query } from "./api.js";

const PAGE = 1000;
const MAX_PAGES = 5;

export const MAX_OBSERVATIONS = PAGE * MAX_PAGES;

export const IMPORTED = ["import", "reported"]; // roles of networks that were trained outside the service

export const COMPARED = ["compound", "family"]; // roles of networks that are trained for comparison only

// Returns the first observations, the retracted ones too, and whether these are all.
export async function readObservations(path, signal) {
  const items = [];
  let cursor = null;
  for (let page = 0; page < MAX_PAGES && (page === 0 || cursor); page++) {
    const response = await get(query(`${path}/observations`, { limit: PAGE, cursor }), signal);
    items.push(...response.items);
    cursor = response.next;
  }
  return { items, isComplete: !cursor };
}

export const describeMultipliers = ({ r, d, w }, format) =>
  r === null ? "a config" : `r ${format(r)}, d ${format(d)}, w ${format(w)}`;
