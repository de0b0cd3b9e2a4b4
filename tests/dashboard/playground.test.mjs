// The steps of the playground and the words of its filter, over a small spec.

import assert from "node:assert/strict";
import { test } from "node:test";

import { matches, runSteps } from "../../app/http/assets/docs-steps.js";

const body = (value) => ({ requestBody: { content: { "application/json": { examples: { one: { value } } } } } });
const id = [{ name: "id", in: "path" }];
const link = (operationId, parameters) => ({ [operationId]: { operationId, parameters } });
const SPEC = {
  paths: {
    "/studies": {
      post: {
        operationId: "create",
        summary: "Create a study",
        ...body({ name: "random" }),
        responses: {
          200: {},
          201: { links: { ...link("start", { id: "$response.body#/id" }), ...link("read", { id: "$response.body#/id" }) } },
        },
      },
    },
    "/studies/{id}/start": { post: { operationId: "start", summary: "Start it", parameters: id, responses: {} } },
    "/studies/{id}": { get: { operationId: "read", parameters: id, responses: {} } },
  },
};
const STEPS = [{ operationId: "create", example: "one" }, { operationId: "start" }];

function service(...answers) {
  const requests = [];
  const send = async (...request) => {
    requests.push(request);
    const [status, answer] = answers.shift();
    return new Response(JSON.stringify(answer), { status });
  };
  return { requests, send };
}

for (const status of [200, 201])
  test(`steps take ids from the answers before, also after status ${status}`, async () => {
    const { requests, send } = service([status, { id: "a/b" }], [200, {}]);

    const known = await runSteps(SPEC, STEPS, send);

    assert.deepEqual(requests, [
      ["POST", "/studies", { name: "random" }],
      ["POST", "/studies/a%2Fb/start", undefined],
    ]);
    assert.equal(known.get("read id"), "a/b");
  });

test("a refused step ends the others and says why", async () => {
  const { requests, send } = service([403, { detail: "This key has no scope train." }]);

  await assert.rejects(runSteps(SPEC, STEPS, send), { message: "Create a study: This key has no scope train." });
  assert.equal(requests.length, 1);
});

test("the filter finds all its words in any order", () => {
  const texts = ["studies", "get", "/v1/studies/{id}/front", "Read the front", undefined];
  assert.ok(matches("front Stud", texts));
  assert.ok(matches("", texts));
  assert.ok(!matches("front trial", texts));
});
