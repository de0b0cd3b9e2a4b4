// The numbers behind a chart of parallel coordinates. An axis: { name, log }; a line: { values }.

// Returns the limits of an axis around the values; equal ones get some room.
export function limits(values, log = false) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (low < high) return [low, high];
  return log ? [low / 1.1, high * 1.1] : [low - (Math.abs(low) * 0.1 || 0.1), high + (Math.abs(high) * 0.1 || 0.1)];
}

// Returns the share of the way from the lower limit to the upper one, and the value at a share.
export function shareOf(value, [low, high], log = false) {
  return log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

export function valueAt(share, [low, high], log = false) {
  return log ? low * (high / low) ** share : low + share * (high - low);
}

// Returns the vertical distance of a point to a line through (xs[i], ys[i]); xs increase.
export function distanceToLine(xs, ys, x, y) {
  const right = xs.findIndex((value) => value >= x);
  if (right <= 0) return Math.abs(y - (right === 0 ? ys[0] : ys.at(-1)));
  const share = (x - xs[right - 1]) / (xs[right] - xs[right - 1]);
  return Math.abs(y - (ys[right - 1] + share * (ys[right] - ys[right - 1])));
}

// Whether the values are in all chosen ranges; `ranges`: { axis name: [low, high] }.
export const isWithin = (values, ranges) =>
  Object.entries(ranges).every(([name, [low, high]]) => values[name] >= low && values[name] <= high);
