// A trial's server-sent events, read with fetch so that a key can be sent; gone on with after the last one seen when the stream
// breaks. Ends when the trial has ended.

import { get, respond } from "./api.js";
import { away } from "./banner.js";
import { pause } from "./pause.js";

export const ENDED = ["completed", "failed", "cancelled"];

export async function* events(id, signal) {
  let last = 0;
  let state = null;
  for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
    try {
      const response = await respond(`v1/trials/${id}/events`, {
        signal,
        headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": String(last) } : {}) },
      });
      for await (const event of parsed(response.body)) {
        last = event.id ?? last;
        if (event.kind === "state") state = event.data.state;
        wait = 500;
        yield event;
      }
      if (ENDED.includes(state) || ENDED.includes((await get(`v1/trials/${id}`, signal)).state)) return;
    } catch (error) {
      if (signal.aborted || error.status) throw error;
      away();
    }
    await pause(wait, signal);
  }
}

async function* parsed(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const event = one(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function one(block) {
  const fields = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name) fields[name] = name === "data" && fields.data !== undefined ? `${fields.data}\n${value}` : value;
  }
  return fields.data ? { id: fields.id, kind: fields.event, data: JSON.parse(fields.data) } : null; // comments keep it open
}
