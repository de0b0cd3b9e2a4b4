// The requests of a tab over minutes, with a clock that the test moves.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

const MINUTE = 60_000;

const tab = {
  hidden: false,
  uses: [],
  changes: [],
  answer: "the same",
  requests: 0,
  controller: null,
  stream: null, // of the service's events, once it was requested
  hasStreams: true, // whether the service has them
};

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
globalThis.fetch = async (path, { signal }) => {
  tab.requests += 1;
  if (path === "v1/events") return tab.hasStreams ? new Response(openStream(signal)) : new Response("{}", { status: 429 });
  return new Response(JSON.stringify({ answer: tab.answer }));
};

function openStream(signal) {
  return new ReadableStream({
    start(controller) {
      tab.stream = controller;
      signal.addEventListener("abort", () => {
        tab.stream = null;
        controller.error(new DOMException("hidden", "AbortError"));
      });
      report("open", {});
    },
  });
}

function report(kind, data) {
  tab.stream.enqueue(new TextEncoder().encode(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`));
}

function setHidden(hidden) {
  tab.hidden = hidden;
  [...tab.changes].forEach((listener) => listener());
}

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
  await openFollowing([], ...requestsOfPolls);
}

async function openFollowing(kinds, ...requestsOfPolls) {
  const { signal } = tab.controller;
  for (const n of requestsOfPolls) {
    const load = () => Promise.all(Array.from({ length: n }, () => get("v1/queue", signal)));
    poll(load, signal, { kinds }).running.catch(() => {});
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
  setHidden(false);
  await rest();
  assert.equal(await pass(0), 0);
  assert.ok(tab.requests > 0);
});

test("a used tab that follows changes loads when there are some", async () => {
  await openFollowing(["trials"], 1);
  await pass(5000);
  assert.ok(tab.stream);
  let requests = 0;
  for (let i = 0; i < 50; i++) {
    use();
    requests += await pass(1000);
  }
  assert.ok(requests <= 1, `${requests} requests while nothing changed`);

  report("studies", { ids: ["another"] });
  assert.equal(await pass(0), 0);
  await pass(2000);
  use();
  const before = tab.requests;
  report("trials", { ids: ["one"] });
  report("trials", { ids: ["two"] });
  await rest();
  assert.equal(tab.requests, before + 1);
});

test("an unused tab that follows changes makes at most four requests a minute while everything changes", async () => {
  await openFollowing(["trials"], 2);
  await pass(MINUTE);
  let requests = 0;
  for (let i = 0; i < 300; i++) {
    tab.answer = String(i);
    report("trials", { ids: ["one"] });
    requests += await pass(1000);
  }
  assert.ok(requests >= 10 && requests <= 20, `${requests} requests in five minutes`);
});

test("an unused tab shows a change after a rest at once", async () => {
  await openFollowing(["trials"], 1);
  await pass(2 * MINUTE - 5000);
  const before = tab.requests;
  report("trials", { ids: ["one"] });
  await rest();
  assert.equal(tab.requests, before + 1);
});

test("a hidden tab closes its stream, and loads when it is shown", async () => {
  await openFollowing(["trials"], 1);
  await pass(2000);
  setHidden(true);
  await rest();
  assert.equal(tab.stream, null);
  assert.equal(await pass(10 * MINUTE), 0);

  setHidden(false);
  use();
  await pass(2000);
  assert.ok(tab.stream);
  assert.ok(tab.requests > 0);
});

test("a tab whose stream breaks polls, and follows changes again", async () => {
  await openFollowing(["trials"], 1);
  await pass(2000);
  tab.hasStreams = false;
  const { stream } = tab;
  tab.stream = null;
  stream.error(new TypeError("network error"));
  await pass(2 * MINUTE);
  const requests = await pass(5 * MINUTE);
  assert.ok(requests >= 15 && requests <= 20, `${requests} requests in five minutes`);

  tab.hasStreams = true;
  await pass(2 * MINUTE);
  assert.ok(tab.stream);
});
