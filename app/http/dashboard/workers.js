// Workers and the queue.

import { get } from "./api.js";
import { facts, h, renderOnChange } from "./dom.js";
import { duration, dateTime, integer } from "./format.js";
import { poll } from "./poll.js";
import { table } from "./table.js";
import { state } from "./messages.js";

const COLUMNS = [
  { label: "Worker", head: true, cell: (w) => w.name },
  { label: "State", cell: (w) => state(!w.alive ? "silent" : w.trial ? "training" : "idle") },
  { label: "Trial", cell: (w) => (w.trial ? h("a", { href: `#/trials/${w.trial}` }, w.trial.slice(0, 8)) : "–") },
  { label: "Device", cell: (w) => w.device },
  { label: "Threads", number: true, cell: (w) => integer(w.threads) },
  { label: "Started", cell: (w) => dateTime(w.started_at) },
  { label: "Last heartbeat", cell: (w) => dateTime(w.heartbeat_at) },
];

export async function workers(page) {
  page.title("Workers");
  const queueFacts = h("div", {});
  const list = h("section", { class: "card" });
  page.root.append(queueFacts, list);
  const showQueue = renderOnChange(queueFacts, (queue) =>
    facts([
      ["Waiting", integer(queue.queued), "queue-queued"],
      ["Paused", integer(queue.paused)],
      ["Running", integer(queue.running), "queue-running"],
      ["Workers", integer(queue.workers), "queue-workers"],
      ["Wait of a new trial", queue.wait ? `about ${duration(queue.wait.seconds)}` : "until a worker starts"],
    ]),
  );
  const showList = renderOnChange(list, (items) =>
    items.length ? table("Workers with a heartbeat within the last hour", COLUMNS, items) : h("p", { class: "hint" }, "There are no workers. Start one with `rdw worker`."),
  );
  await poll(async () => {
    const [queue, listed] = await Promise.all([get("v1/queue", page.signal), get("v1/workers", page.signal)]);
    showQueue(queue);
    showList(listed.items);
    return [queue, listed];
  }, page.signal).running;
}
