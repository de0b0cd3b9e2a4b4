// The data of charts. A series: { label, color, items }; an item: { x, y, low, high, text, href, letter }.

import { csvRow } from "./csv.js";

// Returns the sorted values of x with the lowest and the highest y at each, by which the axes are scaled.
export function envelope(series) {
  const byX = new Map();
  for (const { x, y, low = y, high = y } of series.flatMap((s) => s.items)) {
    const [lowest, highest] = byX.get(x) ?? [low, high];
    byX.set(x, [Math.min(lowest, low), Math.max(highest, high)]);
  }
  const xs = [...byX.keys()].sort((a, b) => a - b);
  return [xs, xs.map((x) => byX.get(x)[0]), xs.map((x) => byX.get(x)[1])];
}

// Returns the item at the least distance, or null if none is within the limit.
/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => number} distance
 * @returns {T | null}
 */
export function nearest(items, distance, limit = Infinity) {
  /** @type {T | null} */
  let found = null;
  for (const item of items) {
    const d = distance(item);
    if (d <= limit) [found, limit] = [item, d];
  }
  return found;
}

// Returns which of `count` items a key leads to from the item `here` (-1: from none), or null if it leads nowhere.
export function stepTo(key, here, count) {
  const to = { ArrowRight: here + 1, ArrowLeft: here < 0 ? count - 1 : here - 1, Home: 0, End: count - 1 }[key];
  return to === undefined || !count ? null : Math.min(count - 1, Math.max(0, to));
}

// Returns the items that a front's line joins: by increasing x, those with a y above that of all before. A front that was
// selected by smoothed accuracies has others too, through which the line would zigzag.
export function frontLine(items) {
  let best = -Infinity;
  const sorted = [...items].sort((a, b) => a.x - b.x || b.y - a.y);
  return sorted.filter(({ y }) => y > best && ((best = y), true));
}

// Returns an axis's limits around the values, with some room, within the limits of the quantity.
export function withRoom(low, high, { min = -Infinity, max = Infinity } = {}) {
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.1;
  return [Math.max(min, low - room), Math.min(max, high + room)];
}

export function toCsv(xLabel, yLabel, series) {
  const rows = series.flatMap(({ label, items }) =>
    [...items].sort((a, b) => a.x - b.x).map(({ x, y, low = "", high = "" }) => [label, x, y, low, high]),
  );
  return [["series", xLabel, yLabel, "low", "high"], ...rows].map(csvRow).join("");
}

// Returns the area, in decades of x times y, that the items dominate (less x, more y) within the corner (xMax, 0).
export function hypervolume(items, xMax) {
  let [area, best] = [0, 0];
  for (const { x, y } of [...items].sort((a, b) => a.x - b.x || b.y - a.y)) {
    if (y <= best) continue;
    area += (y - best) * Math.log10(xMax / x);
    best = y;
  }
  return area;
}
