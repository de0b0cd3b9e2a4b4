// The steps that an example needs first (`x-first` in the spec), and the words of the filter. No part of the page is used.

// Whether every word of the phrase is in one of the texts.
export function matches(phrase, texts) {
  const all = texts.filter(Boolean).join(" ").toLowerCase();
  return phrase
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

// Runs the steps in order and returns the values of path parameters that they gave, by "operationId name".
// `send(method, path, body)` returns a response.
export async function runSteps(spec, steps, send) {
  const known = new Map();
  for (const { operationId, example } of steps) {
    const { method, path, operation } = findOperation(spec, operationId);
    const body = operation.requestBody?.content["application/json"]?.examples?.[example]?.value;
    const response = await send(method.toUpperCase(), fill(path, operation, known), body);
    const answer = await response.json();
    if (!response.ok) throw new Error(`${operation.summary}: ${answer.detail ?? response.status}`);
    follow(operation, answer, known);
  }
  return known;
}

export function findOperation(spec, id) {
  for (const [path, operations] of Object.entries(spec.paths))
    for (const [method, operation] of Object.entries(operations))
      if (operation.operationId === id) return { method, path, operation };
  throw new Error(`The spec has no operation ${id}.`);
}

function fill(path, { operationId, parameters = [] }, known) {
  return path.replace(/\{([^}]+)\}/g, (_, name) => {
    const parameter = parameters.find((p) => p.in === "path" && p.name === name);
    return encodeURIComponent(known.get(`${operationId} ${name}`) ?? parameter?.example);
  });
}

// An answer that repeats an earlier one has another status, without links of its own.
function follow({ responses }, answer, known) {
  const links = Object.values(responses).flatMap((response) => Object.values(response.links ?? {}));
  for (const { operationId, parameters } of links)
    for (const [name, expression] of Object.entries(parameters)) {
      const value = read(answer, expression);
      if (value !== undefined) known.set(`${operationId} ${name}`, value);
    }
}

function read(answer, expression) {
  const pointer = /^\$response\.body#\/(.*)$/.exec(expression)?.[1];
  return pointer?.split("/").reduce((value, step) => value?.[step], answer);
}
