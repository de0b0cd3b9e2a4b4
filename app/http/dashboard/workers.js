// Who trains, and how long the line is.

import { get } from "./api.js";
import { h, live } from "./dom.js";
import { duration, when, whole } from "./format.js";
import { poll } from "./poll.js";
import { table } from "./table.js";
import { state } from "./words.js";

const COLUMNS = [
  { label: "Worker", head: true, cell: (w) => w.name },
  { label: "State", cell: (w) => state(!w.alive ? "silent" : w.trial ? "training" : "idle") },
  { label: "Trial", cell: (w) => (w.trial ? h("a", { href: `#/trials/${w.trial}` }, w.trial.slice(0, 8)) : "–") },
  { label: "Device", cell: (w) => w.device },
  { label: "Threads", number: true, cell: (w) => whole(w.threads) },
  { label: "Started", cell: (w) => when(w.started_at) },
  { label: "Last heard of", cell: (w) => when(w.heartbeat_at) },
];

export async function workers(page) {
  page.title("Workers");
  const line = h("div", {});
  const list = h("section", { class: "card" });
  page.root.append(line, list);
  const showLine = live(line, (queue) =>
    h(
      "dl",
      { class: "facts" },
      [
        ["Waiting", whole(queue.queued), "queue-queued"],
        ["Paused", whole(queue.paused)],
        ["Running", whole(queue.running), "queue-running"],
        ["Workers", whole(queue.workers), "queue-workers"],
        ["One more would wait", queue.wait ? `about ${duration(queue.wait.seconds)}` : "until a worker comes"],
      ].map(([name, value, id]) => h("div", {}, h("dt", {}, name), h("dd", { id }, value))),
    ),
  );
  const showList = live(list, (items) =>
    items.length ? table("Workers, and those that fell silent within the hour", COLUMNS, items) : h("p", { class: "hint" }, "No worker lives. `rdw worker` starts one."),
  );
  await poll(async () => {
    const [queue, listed] = await Promise.all([get("v1/queue", page.signal), get("v1/workers", page.signal)]);
    showLine(queue);
    showList(listed.items);
    return [queue, listed];
  }, page.signal).running;
}
