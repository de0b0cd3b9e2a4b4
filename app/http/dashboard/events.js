// The server-sent events of a trial until it has ended. They are read with fetch, which can send an API key. A broken stream
// resumes after the last event.

import { get, send } from "./api.js";
import { showBanner } from "./banner.js";
import { delay, untilVisible } from "./delay.js";
import { hasEnded } from "./states.js";

export async function* events(id, signal) {
  let last = "";
  let state = null;
  for (let wait = 500; ; wait = Math.min(wait * 2, 20_000)) {
    try {
      const response = await send(`v1/trials/${id}/events`, {
        signal,
        headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) },
      });
      for await (const event of parseEvents(response.body)) {
        last = event.id ?? last;
        if (event.kind === "state") state = event.data.state;
        wait = 500;
        yield event;
      }
      if ((state && hasEnded(state)) || hasEnded((await get(`v1/trials/${id}`, signal)).state)) return;
    } catch (error) {
      if (signal.aborted || error.status) throw error;
      showBanner();
    }
    await delay(wait, signal);
    await untilVisible(signal);
  }
}

export async function* parseEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      const blocks = buffer.split(/\r?\n\r?\n/);
      buffer = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent(block) {
  /** @type {Record<string, string>} */
  const fields = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (name) fields[name] = name === "data" && fields.data !== undefined ? `${fields.data}\n${value}` : value;
  }
  return fields.data ? { id: fields.id, kind: fields.event, data: JSON.parse(fields.data) } : null; // a comment, which keeps the connection open
}
