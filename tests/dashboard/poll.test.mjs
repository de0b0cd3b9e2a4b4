// The requests of a tab over minutes, with a clock that the test moves.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

const MINUTE = 60_000;

const tab = { hidden: false, uses: [], changes: [], answer: "the same", requests: 0, controller: null };

globalThis.addEventListener = (kind, listener) => tab.uses.push(listener);
globalThis.sessionStorage = { getItem: () => null };
globalThis.document = {
  get hidden() {
    return tab.hidden;
  },
  getElementById: () => ({}),
  addEventListener: (kind, listener, { signal }) => {
    tab.changes.push(listener);
    signal.addEventListener("abort", () => tab.changes.splice(tab.changes.indexOf(listener), 1));
  },
};
globalThis.fetch = async () => {
  tab.requests += 1;
  return new Response(JSON.stringify({ answer: tab.answer }));
};

let get, poll;
let now = 0; // goes on from test to test, as the modules remember it

beforeEach(async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now });
  ({ get } = await import("../../app/http/dashboard/api.js"));
  ({ poll } = await import("../../app/http/dashboard/poll.js"));
  Object.assign(tab, { hidden: false, answer: "the same", requests: 0, controller: new AbortController() });
  use();
});

afterEach(async () => {
  tab.controller.abort();
  await rest();
  now = Date.now();
  mock.timers.reset();
});

const rest = async () => {
  for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
};
const use = () => tab.uses.forEach((listener) => listener());

async function pass(milliseconds) {
  const before = tab.requests;
  for (let passed = 0; passed < milliseconds; passed += 500) {
    mock.timers.tick(500);
    await rest();
  }
  return tab.requests - before;
}

async function open(...requestsOfPolls) {
  const { signal } = tab.controller;
  for (const n of requestsOfPolls) {
    const load = () => Promise.all(Array.from({ length: n }, () => get("v1/queue", signal)));
    poll(load, signal).running.catch(() => {});
  }
  await rest();
}

for (const polls of [[1], [2], [1, 6]]) {
  test(`an unused tab with ${polls} requests in its polls makes at most four a minute`, async () => {
    await open(...polls);
    await pass(MINUTE);

    assert.ok((await pass(10 * MINUTE)) <= 40);
  });
}

test("an unused tab goes on loading, also while everything changes", async () => {
  await open(2);
  await pass(MINUTE);
  let requests = 0;
  for (let i = 0; i < 300; i++) {
    tab.answer = String(i);
    requests += await pass(1000);
  }
  assert.ok(requests >= 10 && requests <= 20, `${requests} requests in five minutes`);
});

test("a used tab follows changes every second", async () => {
  await open(1);
  let requests = 0;
  for (let i = 0; i < 20; i++) {
    tab.answer = String(i);
    use();
    requests += await pass(1000);
  }
  assert.ok(requests >= 15);
});

test("a tab that is used again loads at once", async () => {
  await open(3);
  await pass(2 * MINUTE + 5000);
  await pass(1000);
  use();
  assert.ok((await pass(500)) >= 3);
});

test("a hidden tab makes no request until it is shown", async () => {
  await open(1, 2);
  tab.hidden = true;
  await pass(1000);

  assert.equal(await pass(10 * MINUTE), 0);
  tab.hidden = false;
  [...tab.changes].forEach((listener) => listener());
  await rest();
  assert.equal(await pass(0), 0);
  assert.ok(tab.requests > 0);
});
