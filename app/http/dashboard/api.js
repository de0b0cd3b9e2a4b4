// Requests to the public API. Reads are retried while the service is unavailable; writes are not. Problems are thrown.

import { showBanner, hideBanner } from "./banner.js";
import { askForKey, authorization, currentKey } from "./key.js";
import { delay, untilVisible } from "./delay.js";

const BUSY = [429, 502, 503, 504];
const NO_RESPONSE = "The service does not respond.";
const MAX_WAIT = 20_000;

let requests = 0;

// Returns how many requests the tab has sent.
export const countRequests = () => requests;

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? document.title ?? `The service responded with status ${status}.`);
    this.status = status;
    this.document = document;
    this.kind = (document.type ?? "").split("/").pop();
  }
}

// Whether the same request may succeed later.
export const isTemporary = (error) => error.status === 0 || BUSY.includes(error.status);

export const isAbort = (error) => error?.name === "AbortError";

// Returns the response, after asking for an API key if one is required. `patient`: retry until the service responds.
// `isRead`: nothing is changed, so that the request can be sent again. `raw` is sent as it is, in place of a `body` as JSON.
/**
 * @param {string} path
 * @param {{method?: string, body?: any, raw?: any, headers?: Record<string, string>, signal?: AbortSignal, isRead?: boolean, patient?: boolean}} [options]
 * @returns {Promise<Response>}
 */
export async function send(
  path,
  {
    method = "GET",
    body,
    raw = body && JSON.stringify(body),
    headers = {},
    signal,
    isRead = method === "GET",
    patient = isRead,
  } = {},
) {
  for (let wait = 500; ; wait = Math.min(wait * 2, MAX_WAIT)) {
    const used = currentKey();
    /** @type {Response | null} */
    let response = null;
    requests += 1;
    try {
      response = await fetch(path, {
        method,
        signal,
        headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...authorization(), ...headers },
        body: raw,
      });
    } catch (error) {
      if (isAbort(error) || !patient) {
        if (isAbort(error)) throw error;
        showBanner();
        throw new Problem(
          {
            detail: isRead
              ? NO_RESPONSE
              : `${NO_RESPONSE} The request may not have been applied: check before you retry.`,
          },
          0,
        );
      }
    }
    if (response?.ok || response?.status === 304) {
      hideBanner();
      return response;
    }
    if (response && !(patient && BUSY.includes(response.status))) {
      hideBanner();
      const problem = await parseProblem(response);
      if (response.status === 401 && (currentKey() !== used || (await askForKey(problem.message)))) continue;
      throw problem;
    }
    showBanner();
    await delay(1000 * Number(response?.headers.get("Retry-After")) || wait, signal);
    await untilVisible(signal);
  }
}

async function parseProblem(response) {
  const document = await response.json().catch(() => ({}));
  return new Problem(document, response.status);
}

export const get = async (path, signal) => (await send(path, { signal })).json();

// Sends a POST request that changes nothing.
export const compute = async (path, body, signal, patient = true) =>
  (await send(path, { method: "POST", body, signal, isRead: true, patient })).json();

// Sends a request that changes something; its idempotency key makes it safe to repeat.
export async function change(path, body, headers = {}, method = "POST") {
  const response = await send(path, {
    method,
    body,
    headers: { "Idempotency-Key": crypto.randomUUID?.() ?? randomKey(), ...headers },
  });
  return response.status === 204 ? null : response.json();
}

export const remove = (path) => change(path, undefined, {}, "DELETE");

// crypto.randomUUID exists on secure origins only.
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Returns the header that refuses a change of what another client has changed meanwhile.
export async function readTag(path, signal) {
  const response = await send(path, { signal });
  const tag = response.headers.get("ETag");
  await response.arrayBuffer();
  return tag ? { "If-Match": tag } : {};
}

export const getBlob = async (path, signal) => (await send(path, { signal })).blob();

// Reads all pages of a list.
export async function getAll(path, signal, filters = {}) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(query(path, { ...filters, limit: 200, cursor }), signal);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return items;
}

export function query(path, parameters) {
  const present = Object.entries(parameters).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return present.length ? `${path}?${new URLSearchParams(present)}` : path;
}
