// The state of the scale view, the store, and the requests while the budget is dragged.

import assert from "node:assert/strict";
import test from "node:test";

import { newestWins } from "../../app/http/dashboard/newest-wins.js";
import {
  defaultPredictor,
  ignoredParameters,
  initialState,
  toAddress,
  toRequest,
} from "../../app/http/dashboard/scale-state.js";
import { createStore } from "../../app/http/dashboard/store.js";

const CATALOG = {
  architectures: [{ name: "efficientnet_b0" }, { name: "tinynet_e" }, { name: "resnet50" }],
  datasets: [{ name: "digits" }, { name: "pets" }],
  predictors: [
    { id: "e3", architecture: "tinynet_e", dataset: "pets", active: true },
    { id: "e2", architecture: "tinynet_e", dataset: "digits", active: false },
    { id: "e1", architecture: "tinynet_e", dataset: "digits", active: true },
    { id: "b0", architecture: "efficientnet_b0", dataset: "digits", active: true },
    { id: "published-tinynets", architecture: "efficientnet_b0", dataset: "imagenet-1000", active: true },
  ],
};

const start = (address) => initialState(new URLSearchParams(address), CATALOG);

test("an address leads back to the state it was made of", () => {
  const state = {
    ...start(""),
    architecture: "tinynet_e",
    dataset: "pets",
    predictor: "e2",
    rule: "dwr",
    mode: "at_most",
    multiple: "32",
    tolerance: "exact",
    max_params: 2_000_000,
    target: { flops: 12_000_000 },
  };
  const parameters = Object.entries(toAddress(state)).filter(([, value]) => value !== null && value !== "");
  assert.deepEqual(start(new URLSearchParams(parameters).toString()), state);
});

test("what an address says wrongly has its default", () => {
  assert.deepEqual(
    start("architecture=none&dataset=none&predictor=none&mode=worst&multiple=7&ratio=-1&flops=x"),
    start(""),
  );
  assert.deepEqual(start("").target, { ratio: 0.258 });
});

test("what an address says wrongly is reported", () => {
  const ignored = (address) => ignoredParameters(new URLSearchParams(address), start(address));
  assert.deepEqual(ignored("architecture=none&ratio=0.30&predictor=none&px=32"), [
    "architecture none",
    "predictor none",
    "px 32",
  ]);
  assert.deepEqual(ignored("architecture=tinynet_e&dataset=pets&predictor=e2&flops=12000000&max_params="), []);
});

test("the predictor is the one in use for the data set, else the published or the oldest", () => {
  const of = (architecture, dataset) => defaultPredictor(CATALOG.predictors, architecture, dataset);
  assert.equal(of("efficientnet_b0", ""), "published-tinynets");
  assert.equal(of("efficientnet_b0", "digits"), "b0");
  assert.equal(of("tinynet_e", "pets"), "e3");
  assert.equal(of("tinynet_e", ""), "e1");
  assert.equal(of("resnet50", ""), "");
});

test("a request has only what differs from the defaults of the API", () => {
  assert.deepEqual(toRequest(start("")), {
    architecture: "efficientnet_b0",
    target: { ratio: 0.258 },
    rule: "auto",
    predictor: "published-tinynets",
  });
  const request = toRequest({
    ...start("architecture=resnet50&dataset=digits&multiple=8&mode=at_most&tolerance=exact"),
    max_params: 5,
  });
  assert.deepEqual(request, {
    architecture: "resnet50",
    target: { ratio: 0.258 },
    rule: "auto",
    dataset: "digits",
    constraints: { resolution: { multiple_of: 8 }, max_params: 5 },
    budget: { mode: "at_most", tolerance: null },
  });
});

test("a store tells its listeners what has changed", () => {
  const store = createStore({ a: 1, b: 2 });
  const heard = [];
  store.subscribe((state, changes) => heard.push([state, changes]));
  store.set({ b: 3 });
  assert.deepEqual(heard, [[{ a: 1, b: 3 }, { b: 3 }]]);
  assert.deepEqual(store.get(), { a: 1, b: 3 });
});

// A service whose answers come when the test says so.
function service() {
  const [sent, log] = [[], []];
  const controller = new AbortController();
  const submit = newestWins({
    send: (value) => new Promise((resolve, reject) => sent.push({ value, resolve, reject })),
    show: (answer, value, isNewest) => log.push([answer, value, isNewest]),
    fail: (error, value, isNewest) => log.push([error.message, value, isNewest]),
    isTemporary: (error) => error.message === "unreachable",
    pause: async () => {},
    signal: controller.signal,
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { sent, log, submit, settle, leave: () => controller.abort() };
}

test("one request is in flight, and the newest value is sent next", async () => {
  const { sent, log, submit, settle } = service();
  for (const value of [1, 2, 3]) submit(value);
  assert.deepEqual(
    sent.map((s) => s.value),
    [1],
  );
  sent[0].resolve("one");
  await settle();
  assert.deepEqual(
    sent.map((s) => s.value),
    [1, 3],
  );
  sent[1].resolve("three");
  await settle();
  assert.deepEqual(log, [
    ["one", 1, false],
    ["three", 3, true],
  ]);
  submit(4);
  assert.deepEqual(
    sent.map((s) => s.value),
    [1, 3, 4],
  );
});

test("after an outage the newest value is sent again, after an error it is not", async () => {
  const { sent, log, submit, settle, leave } = service();
  submit(1);
  submit(2);
  sent[0].reject(new Error("unreachable"));
  await settle();
  sent[1].reject(new Error("unreachable"));
  await settle();
  assert.deepEqual(
    sent.map((s) => s.value),
    [1, 2, 2],
  );
  sent[2].reject(new Error("out of range"));
  await settle();
  assert.equal(sent.length, 3);
  assert.deepEqual(log.at(-1), ["out of range", 2, true]);
  submit(5);
  leave();
  sent[3].resolve("late");
  await settle();
  assert.equal(log.length, 3);
});
