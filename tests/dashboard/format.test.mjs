// What the dashboard writes: numbers, names and the sentence of the answer.

import assert from "node:assert/strict";
import test from "node:test";

import { answerSentence } from "../../app/http/dashboard/answer.js";
import { duration, millions, multiplier, px, signedPercent, significant } from "../../app/http/dashboard/format.js";
import { networkName, predictorName } from "../../app/http/dashboard/names.js";

const PUBLISHED = {
  id: "published-tinynets",
  architecture: "efficientnet_b0",
  dataset: "imagenet-1000",
  version: 1,
  observations: 5,
  name: null,
};

const ANSWER = {
  architecture: "efficientnet_b0",
  rule: "tiny_formula",
  target_flops: 99_540_206,
  multipliers: { r: 0.823, d: 0.853, w: 0.544 },
  config: { resolution: 184 },
  cost: { flops: 99_536_000 },
  predicted_accuracy: { mean: 0.7124, sd: 0.0087, dataset: "imagenet-1000" },
  predictor: PUBLISHED,
};

const plain = (text) => text.replaceAll("\u00a0", " ");

test("the answer is one sentence", () => {
  assert.equal(
    plain(answerSentence(ANSWER)),
    "EfficientNet-B0 at 99.54 M multiply-adds: 184 px, depth 0.85, width 0.54; 71.2 ± 0.9 % expected on ImageNet, from 5 published networks.",
  );
});

test("the sentence says where a borrowed predictor comes from, and when there is none", () => {
  const borrowed = answerSentence({ ...ANSWER, architecture: "resnet50" }, "efficientnet_b0");
  assert.match(borrowed, /^ResNet-50 at .* from 5 published networks of EfficientNet-B0\.$/);
  const own = answerSentence({ ...ANSWER, predictor: { ...PUBLISHED, id: "p", observations: 12 } });
  assert.match(own, /from 12 trained networks\.$/);
  const without = answerSentence({ ...ANSWER, rule: "dwr", predictor: null, predicted_accuracy: null });
  assert.match(without, /; accuracy not predicted, since the rule dwr needs no data\.$/);
  assert.match(answerSentence({ ...ANSWER, config: { resolution: [32, 64] } }), /: 32 × 64 px,/);
});

test("networks and predictors have the names that people write", () => {
  const names = [
    "efficientnet_lite0",
    "mobilenetv3_large_100",
    "resnet50",
    "resnext50_32x4d",
    "regnetx_002",
    "my_net",
    "tinynet",
  ];
  assert.deepEqual(names.map(networkName), [
    "EfficientNet-Lite0",
    "MobileNetV3-Large-100",
    "ResNet-50",
    "ResNeXt-50-32x4d",
    "RegNetX-002",
    "my_net",
    "TinyNet",
  ]);
  assert.equal(predictorName(PUBLISHED), "Published TinyNets on ImageNet");
  assert.equal(
    predictorName({ ...PUBLISHED, id: "p", dataset: "digits", version: 3 }),
    "EfficientNet-B0 on digits, version 3",
  );
  assert.equal(predictorName({ ...PUBLISHED, id: "p", name: "the best" }), "the best on ImageNet, version 1");
});

test("numbers have as many digits as are meant", () => {
  assert.deepEqual([999, 12_345_678, 123_456_789, 5_288_548_000, null].map(millions), [
    "0.001 M",
    "12.35 M",
    "123.5 M",
    "5,289 M",
    "–",
  ]);
  assert.deepEqual([0.5, 0.8214, 0.24000000000000002, 0.123456, null].map(multiplier), [
    "0.500",
    "0.8214",
    "0.240",
    "0.123456",
    "–",
  ]);
  assert.deepEqual([0.0035, -0.0035, 0.000001, null].map(signedPercent), ["+0.350 %", "−0.350 %", "0.000 %", "–"]);
  assert.deepEqual([0.258, 1234.5678, null].map(significant), ["0.258", "1235", "–"]);
  assert.deepEqual([2, 75, 600, 7200, 200_000].map(duration), ["2.0 s", "75 s", "10 min", "2.0 h", "2 days"]);
  assert.deepEqual([224, [32, 64]].map(px), ["224", "32 × 64"]);
});
