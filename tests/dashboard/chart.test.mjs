// The numbers behind charts: ticks, scales, what is nearest, exports.

import assert from "node:assert/strict";
import test from "node:test";

import { envelope, frontLine, hypervolume, nearest, stepTo, toCsv, withRoom } from "../../app/http/dashboard/chart-data.js";
import { svgDocument, svgPen } from "../../app/http/dashboard/chart-pens.js";
import { pinchedRange } from "../../app/http/dashboard/touch-zoom.js";
import { logTicks, ticks } from "../../app/http/dashboard/ticks.js";

test("ticks are round numbers within the limits", () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.61, 0.73, 4), [0.65, 0.7]);
  assert.deepEqual(logTicks(0.02, 2), [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(logTicks(0.25, 0.29, 5), [0.25, 0.26, 0.27, 0.28, 0.29]);
  assert.deepEqual(logTicks(1, 1e5, 4), [1, 10, 100, 1000, 10_000, 100_000]);
});

test("an axis covers bands and points at each x", () => {
  const series = [
    {
      items: [
        { x: 2, y: 5, low: 4, high: 7 },
        { x: 1, y: 3 },
      ],
    },
    { items: [{ x: 2, y: 9 }] },
  ];
  assert.deepEqual(envelope(series), [
    [1, 2],
    [3, 4],
    [3, 9],
  ]);
  assert.deepEqual(withRoom(0.5, 0.98, { min: 0, max: 1 }), [0.5 - 0.48 * 0.08, 1]);
  assert.deepEqual(withRoom(2, 2), [1.8, 2.2]);
});

test("the nearest item is within reach or null", () => {
  const distance = (item) => Math.abs(item - 10);
  assert.equal(nearest([1, 8, 13], distance), 8);
  assert.equal(nearest([1, 8, 13], distance, 1), null);
});

test("the hypervolume is the area that the front dominates", () => {
  const items = [
    { x: 10, y: 0.5 },
    { x: 100, y: 0.8 },
    { x: 50, y: 0.4 },
  ];
  assert.ok(Math.abs(hypervolume(items, 1000) - (0.5 * 2 + 0.3 * 1)) < 1e-12);
  assert.equal(hypervolume([], 1000), 0);
});

// A front that is selected by smoothed accuracies, as those of the service are.
test("the line of a front rises where measured accuracies do not", () => {
  const items = [
    { x: 10, y: 0.5 },
    { x: 20, y: 0.62 },
    { x: 30, y: 0.6 },
    { x: 30, y: 0.61 },
    { x: 40, y: 0.7 },
  ];
  assert.deepEqual(
    frontLine([...items].reverse()).map((item) => item.x),
    [10, 20, 40],
  );
});

test("fingers that spread zoom in on what is between them", () => {
  assert.deepEqual(pinchedRange([100, 200], [50, 250], 300), [75, 225]);
  assert.deepEqual(pinchedRange([50, 250], [100, 200], 300), [-150, 450]);
  assert.deepEqual(pinchedRange([100, 200], [150, 250], 300), [-50, 250]);
});

test("CSV has a row for each item, and quotes what has to be", () => {
  const series = [
    {
      label: "front",
      items: [
        { x: 1, y: 0.5 },
        { x: 2, y: 0.6, low: 0.5, high: 0.7 },
      ],
    },
  ];
  assert.equal(
    toCsv("Multiply-adds", "Accuracy, %", series),
    'series,Multiply-adds,"Accuracy, %",low,high\nfront,1,0.5,,\nfront,2,0.6,0.5,0.7\n',
  );
});

test("SVG escapes text", () => {
  const pen = svgPen();
  pen.text(1, 2, "<a & b>", { fill: "red" });
  const document = svgDocument(10, 20, "white", pen.shapes);
  assert.match(document, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="10" height="20"/);
  assert.match(document, />&lt;a &amp; b&gt;<\/text>/);
});

test("keys walk through the items of a chart, from its ends where there is none yet", () => {
  const steps = (here, count) => ["ArrowRight", "ArrowLeft", "Home", "End"].map((key) => stepTo(key, here, count));
  assert.deepEqual(steps(-1, 4), [0, 3, 0, 3]);
  assert.deepEqual(steps(0, 4), [1, 0, 0, 3]);
  assert.deepEqual(steps(3, 4), [3, 2, 0, 3]);
  assert.deepEqual(steps(-1, 0), [null, null, null, null]);
  assert.equal(stepTo("Enter", 1, 4), null);
});
