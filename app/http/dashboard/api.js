// The public API, and nothing else. Reads wait for a service that is away; writes say so. Problems are thrown.

import { away, back } from "./banner.js";
import { askForKey, authorization, currentKey } from "./key.js";
import { pause } from "./pause.js";

const BUSY = [429, 502, 503, 504];
const LONGEST_WAIT = 10_000;

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? document.title ?? `The service answered ${status}.`);
    this.status = status;
    this.document = document;
    this.kind = (document.type ?? "").split("/").pop();
  }
}

export const left = (error) => error?.name === "AbortError";

// The response, after a key was asked for where one is needed. `patient`: tried again until the service answers.
async function send(path, { method = "GET", body, headers = {}, signal, patient = method === "GET" } = {}) {
  for (let wait = 500; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const used = currentKey();
    let response = null;
    try {
      response = await fetch(path, {
        method,
        signal,
        headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...authorization(), ...headers },
        body: body && JSON.stringify(body),
      });
    } catch (error) {
      if (left(error) || !patient) {
        if (left(error)) throw error;
        away();
        throw new Problem({ detail: "The service does not answer. Nothing may have been done: look before you try again." }, 0);
      }
    }
    if (response?.ok || response?.status === 304) {
      back();
      return response;
    }
    if (response && !(patient && BUSY.includes(response.status))) {
      back();
      const problem = await problemOf(response);
      if (response.status === 401 && (currentKey() !== used || (await askForKey(problem.message)))) continue;
      throw problem;
    }
    away();
    await pause(1000 * Number(response?.headers.get("Retry-After")) || wait, signal);
  }
}

async function problemOf(response) {
  const document = await response.json().catch(() => ({}));
  return new Problem(document, response.status);
}

export const respond = send;

export const get = async (path, signal) => (await send(path, { signal })).json();

// Asks without changing anything, though by POST.
export const compute = async (path, body, signal) =>
  (await send(path, { method: "POST", body, signal, patient: true })).json();

// Changes something, once: the key makes a repeated request the same request.
export async function change(path, body, headers = {}) {
  const response = await send(path, {
    method: "POST",
    body,
    headers: { "Idempotency-Key": crypto.randomUUID?.() ?? randomKey(), ...headers },
  });
  return response.json();
}

// crypto.randomUUID is there on secure origins alone.
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const blob = async (path, signal) => (await send(path, { signal })).blob();

// All items of a list, page by page.
export async function all(path, signal) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(query(path, { limit: 200, cursor }), signal);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return items;
}

export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
