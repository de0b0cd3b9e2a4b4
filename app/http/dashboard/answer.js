// The answer of the scale view in words.

import { fixed, millions, px } from "./format.js";
import { datasetName, networkName, networks } from "./names.js";

// Returns the sentence in parts: budget, network, and what is expected of it. `source`: the predictor's architecture.
export function answerParts(answer, source = answer.architecture) {
  const { multipliers: m, config, cost, target_flops: target } = answer;
  return {
    budget: `${networkName(answer.architecture)} at ${millions(target ?? cost.flops)} multiply-adds`,
    network: `${px(config.resolution)} px, depth ${fixed(m.d, 2)}, width ${fixed(m.w, 2)}`,
    expected: expectation(answer, source),
  };
}

export function answerSentence(answer, source) {
  const { budget, network, expected } = answerParts(answer, source);
  return `${budget}: ${network}; ${expected}.`;
}

function expectation({ architecture, predicted_accuracy: accuracy, predictor, rule }, source) {
  if (!predictor) return `accuracy not predicted, since the rule ${rule.replaceAll("_", " ")} needs no data`;
  const basis = `from ${networks(predictor)}${source === architecture ? "" : ` of ${networkName(source)}`}`;
  if (!accuracy) return `accuracy not predicted; ${basis}`;
  return `${accuracyText(accuracy)} expected on ${datasetName(accuracy.dataset)}, ${basis}`;
}

// Returns "71.2 ± 0.9 %", which is not broken across lines: the mean and one standard deviation.
export const accuracyText = ({ mean, sd }) =>
  `${fixed(100 * mean, 1)} ± ${fixed(100 * sd, 1)} %`.replaceAll(" ", "\u00a0");
