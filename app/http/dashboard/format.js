// Formats numbers, times and ids.

export const fixed = (value, digits) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");

// Formats a multiplier with three decimals, or with all its decimals if rounding would change the network. The last digits
// of a binary fraction such as 0.24000000000000002 are left out.
export function multiplier(value) {
  const short = fixed(value, 3);
  if (value === null || value === undefined) return short;
  const exact = Number(value.toPrecision(12));
  return Number(short) === exact ? short : String(exact);
}

export const plural = (n, noun) => `${integer(n)} ${noun}${n === 1 ? "" : "s"}`;

// Formats the side of a square, or height and width.
export const px = (resolution) => [resolution].flat().join(" × ");

export const integer = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export function millions(value) {
  if (value === null || value === undefined) return "–";
  const m = value / 1e6;
  const digits = m >= 1000 ? 0 : m >= 100 ? 1 : m >= 10 ? 2 : 3;
  return `${m.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} M`;
}

export const percent = (share, digits = 1) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;

// The axis of accuracies in a chart.
export const ACCURACY_AXIS = {
  label: "Accuracy, %",
  text: (v) => percent(v),
  tick: (v) => String(Math.round(1000 * v) / 10),
  min: 0,
  max: 1,
};

export const BAND_90 = 1.645; // standard deviations to either side of the mean

export function signedPercent(share) {
  if (share === null || share === undefined) return "–";
  const text = Math.abs(100 * share).toFixed(3);
  return Number(text) === 0 ? "0.000 %" : `${share < 0 ? "−" : "+"}${text} %`;
}

// Formats four significant digits, without exponent or trailing zeros.
export const significant = (value) =>
  value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// Describes an estimated duration, which is unknown before the first training.
export function describeEstimate({ seconds, low, high, trainings, basis }) {
  const range = `${duration(low)} to ${duration(high)}`;
  if (trainings === 0) return `Nothing was trained here yet, so the duration is unknown: roughly ${range}.`;
  return `Estimated duration: ${duration(seconds)} (90 % interval: ${range}). ${basis}`;
}

const formatTime = (timeStyle) => (time) =>
  time ? new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle }) : "–";

export const dateTime = formatTime("medium");

export const minute = formatTime("short");

export const bytes = (n) => (n === null || n === undefined ? "–" : `${(n / 2 ** 20).toFixed(1)} MiB`);

export const letterOf = (name) => /^tinynet_([a-e])$/.exec(name ?? "")?.[1].toUpperCase() ?? "";

export const shortId = (id) => id.slice(0, 8);
