// Predicted accuracies with their 90 % bands against the measured ones.

import { chart } from "./chart.js";
import { ACCURACY_AXIS, BAND_90, percent } from "./format.js";

export function calibrationChart(signal) {
  const { node, show } = chart({
    title: "Predicted against measured accuracy",
    x: { ...ACCURACY_AXIS, label: "Measured accuracy, %", min: undefined, max: undefined },
    y: { ...ACCURACY_AXIS, label: "Predicted accuracy, %" },
    signal,
  });
  const toItem = ({ trial, mean, sd, measured }) => ({
    x: measured,
    y: mean,
    low: mean - BAND_90 * sd,
    high: mean + BAND_90 * sd,
    href: trial && `#/trials/${trial}`,
    text: `predicted ${percent(mean)} ± ${percent(sd)}, measured ${percent(measured)}`,
  });
  return {
    node,
    show({ items, coverage_90: coverage }) {
      const label = `networks (${percent(coverage, 0)} within the 90 % band)`;
      show({ series: [{ label, color: "accuracy", dots: "filled", items: items.map(toItem) }], diagonal: true });
    },
  };
}
