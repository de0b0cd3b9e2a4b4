// Lists, addresses and comparisons: what they show of the data of the service.

import assert from "node:assert/strict";
import test from "node:test";

import { columnKey, formatOrder, nextOrder, parseOrder, search, sortBy } from "../../app/http/dashboard/arrange.js";
import { differences } from "../../app/http/dashboard/differences.js";
import { distanceToLine, isWithin, limits, shareOf, valueAt } from "../../app/http/dashboard/parallel-data.js";
import { addressOf, parseRoute } from "../../app/http/dashboard/route.js";
import { countObservations, progressOf, secondsLeft } from "../../app/http/dashboard/study-progress.js";

const ROWS = [
  { name: "net 10", accuracy: 0.5 },
  { name: "net 9", accuracy: null },
  { name: "other", accuracy: 0.7 },
];

test("a search finds the rows that have every word", () => {
  const names = (query) => search(ROWS, query, (row) => row.name).map((row) => row.name);
  assert.deepEqual(names(" NET  1"), ["net 10"]);
  assert.deepEqual(names(""), ["net 10", "net 9", "other"]);
  assert.deepEqual(names("net other"), []);
});

test("rows without a value are last in either order, and numbers in names count", () => {
  const names = (value, descending) => sortBy(ROWS, value, descending).map((row) => row.name);
  assert.deepEqual(
    names((row) => row.accuracy),
    ["net 10", "other", "net 9"],
  );
  assert.deepEqual(
    names((row) => row.accuracy, true),
    ["other", "net 10", "net 9"],
  );
  assert.deepEqual(
    names((row) => row.name),
    ["net 9", "net 10", "other"],
  );
});

test("an order in an address is that of a column", () => {
  const columns = [{ label: "Input (px)", number: true, value: () => 1 }, { label: "Actions" }];
  const order = nextOrder(null, columns[0]);
  assert.deepEqual(order, { key: columnKey(columns[0]), descending: true });
  assert.deepEqual(parseOrder(formatOrder(order), columns), order);
  assert.deepEqual(nextOrder(order, columns[0]), { ...order, descending: false });
  assert.equal(parseOrder("actions", columns), null);
});

test("an address is parsed into its view, id, part and parameters", () => {
  const address = addressOf("studies", "a b/c", "trials", { state: "failed", q: "" });
  const { query, ...route } = parseRoute(address);
  assert.deepEqual(route, { form: "studies//", name: "studies", id: "a b/c", part: "trials" });
  assert.equal(query.get("state"), "failed");
  assert.equal(parseRoute("").form, "scale");
  assert.equal(parseRoute("#/trials/").form, "trials");
  assert.equal(parseRoute("#/trials/%zz").id, "%zz");
});

test("a difference has the values of all, also of nested and missing settings", () => {
  const [first, second] = [
    { lr: 1, stages: [{ channels: 8 }, { channels: 16 }] },
    { lr: 1, stages: [{ channels: 8 }], ema: null },
  ];
  assert.deepEqual(
    differences([first, second]).filter((row) => row.differs),
    [
      { path: "stages.1.channels", values: [16, undefined], differs: true },
      { path: "ema", values: [undefined, null], differs: true },
    ],
  );
});

test("a value is where its share of the axis is", () => {
  const bounds = limits([10, 1000, 30], true);
  assert.ok(Math.abs(shareOf(100, bounds, true) - 0.5) < 1e-12);
  assert.ok(Math.abs(valueAt(0.5, bounds, true) - 100) < 1e-9);
  assert.deepEqual(limits([2, 2]), [1.8, 2.2]);
  assert.equal(distanceToLine([0, 10, 20], [0, 10, 0], 15, 8), 3);
  assert.equal(isWithin({ r: 1, d: 2 }, { r: [0.5, 1], d: [3, 4] }), false);
});

const STUDY = {
  state: "running",
  size: 6,
  proposed: 3,
  options: { seeds: 2 },
  trials: { completed: 3, failed: 1, running: 1, queued: 1 },
};

test("the progress of a study counts what is not sampled yet", () => {
  assert.deepEqual(progressOf(STUDY), { planned: 12, ended: 4, left: 8, failed: 1 });
  assert.equal(progressOf({ ...STUDY, state: "cancelled" }).planned, 6);
});

test("the time left follows from the trainings so far and the workers", () => {
  const observations = [
    { trial_id: "a", seconds: 10 },
    { trial_id: "b", seconds: 30 },
    { trial_id: null, seconds: 1000 },
  ];
  assert.equal(secondsLeft(8, observations, 2), 80);
  assert.equal(secondsLeft(1, observations, 4), 20);
  assert.equal(secondsLeft(8, [], 2), null);
  assert.equal(secondsLeft(8, observations, 0), null);
});

test("imported observations are counted apart from retracted ones", () => {
  const roles = ["random", "import", "reported", "import"].map((role, i) => ({
    role,
    retracted_at: i === 3 ? "now" : null,
  }));
  assert.deepEqual(countObservations(roles), { all: 3, imported: 2, trained: 1, retracted: 1 });
});
