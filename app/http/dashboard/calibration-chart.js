// Predicted accuracies with their 90 % bands against the measured ones.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { ACCURACY_AXIS, BAND_90, percent } from "./format.js";

export function calibrationChart(path, signal) {
  const { node, show } = chart({
    title: "Predicted against measured accuracy",
    x: { ...ACCURACY_AXIS, label: "Measured accuracy, %", min: undefined, max: undefined },
    y: { ...ACCURACY_AXIS, label: "Predicted accuracy, %" },
    signal,
  });
  return {
    node,
    // Resolves to whether there are predictions that were measured.
    async refresh() {
      const { items, coverage_90: coverage } = await get(path, signal);
      const toItem = ({ trial, mean, sd, measured }) => ({
        x: measured,
        y: mean,
        low: mean - BAND_90 * sd,
        high: mean + BAND_90 * sd,
        href: trial && `#/trials/${trial}`,
        text: `predicted ${percent(mean)} ± ${percent(sd)}, measured ${percent(measured)}`,
      });
      if (items.length)
        show({
          series: [
            {
              label: `networks (${percent(coverage, 0)} within the 90 % band)`,
              color: "accuracy",
              dots: "filled",
              items: items.map(toItem),
            },
          ],
          diagonal: true,
        });
      return items.length > 0;
    },
  };
}
