// Workers and the queue: what is trained now, and what comes next.

import { get, getAll, query } from "./api.js";
import { linkColumn, numberColumn, textColumn, timeColumn } from "./columns.js";
import { facts, h, renderOnChange } from "./dom.js";
import { duration, integer, millions, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { state } from "./messages.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";
import { trialName } from "./trials.js";

const MAX_WAITING = 200; // newest waiting trials that are shown

const workerState = (w) => (!w.alive ? "silent" : w.trial ? "training" : "idle");

const WORKERS = {
  caption: "Workers with a heartbeat within the last hour",
  columns: [
    { label: "Worker", head: true, value: (w) => w.name, cell: (w) => w.name },
    { label: "State", value: workerState, cell: (w) => state(workerState(w)) },
    {
      label: "Trial",
      value: (w) => w.trial,
      cell: (w) => (w.trial ? h("a", { href: addressOf("trials", w.trial) }, shortId(w.trial)) : "–"),
    },
    textColumn("Device", (w) => w.device),
    numberColumn("Threads", (w) => w.threads, integer),
    timeColumn("Started", (w) => w.started_at),
    timeColumn("Last heartbeat", (w) => w.heartbeat_at),
  ],
  textOf: (w) => `${w.name} ${w.host} ${w.device} ${workerState(w)} ${w.trial ?? ""}`,
  empty: "There are no workers. Start one with `rdw worker`.",
  prefix: "worker-",
};

const TRIAL = [
  linkColumn("Trial", trialName, (t) => addressOf("trials", t.id)),
  textColumn("Architecture", (t) => t.architecture),
  textColumn("Data set", (t) => t.dataset),
  numberColumn("Multiply-adds", (t) => t.flops, millions),
];

const textOf = (t) => `${t.id} ${t.name ?? ""} ${t.architecture} ${t.dataset}`;

const RUNNING = {
  caption: "Trained now",
  columns: [
    ...TRIAL,
    {
      label: "Epoch",
      number: true,
      value: (t) => t.progress?.epoch,
      cell: (t) => (t.progress?.epochs ? `${t.progress.epoch} of ${t.progress.epochs}` : "–"),
    },
    numberColumn("Time left", (t) => t.progress?.seconds_left, duration),
    timeColumn("Started", (t) => t.started_at),
  ],
  textOf,
  empty: "Nothing is being trained.",
  prefix: "running-",
};

const WAITING = {
  caption: "The queue, next one first",
  columns: [
    ...TRIAL,
    numberColumn("Place", (t) => t.place, integer),
    numberColumn("Priority", (t) => t.priority, integer),
    timeColumn("Requested", (t) => t.created_at),
  ],
  textOf,
  empty: "Nothing waits.",
  prefix: "queue-",
};

export async function workers(page) {
  page.title("Workers");
  const queueFacts = h("div", {});
  const [list, running, waiting] = [WORKERS, RUNNING, WAITING].map((options) => itemList(page, options));
  const cut = h("p", { class: "hint", hidden: true });
  const card = (title, ...content) => h("section", { class: "card" }, h("h2", {}, title), content);
  page.root.append(
    queueFacts,
    card("Workers", list.node),
    card("Running", running.node),
    card("Queue", waiting.node, cut),
  );
  const showQueue = renderOnChange(queueFacts, (queue) =>
    facts([
      ["Waiting", integer(queue.queued), "queue-queued"],
      ["Paused", integer(queue.paused)],
      ["Running", integer(queue.running), "queue-running"],
      ["Workers", integer(queue.workers), "queue-workers"],
      [
        "Wait of a new trial",
        queue.wait ? (queue.wait.seconds ? `about ${duration(queue.wait.seconds)}` : "none") : "until a worker starts",
      ],
    ]),
  );
  await poll(async () => {
    const [queue, listed, trained, queued] = await Promise.all([
      get("v1/queue", page.signal),
      get("v1/workers", page.signal),
      getAll("v1/trials", page.signal, { state: "running" }),
      get(query("v1/trials", { state: "queued", limit: MAX_WAITING }), page.signal),
    ]);
    showQueue(queue);
    list.show(listed.items);
    running.show(trained);
    // The first in the queue has the highest priority and, among equals, is the oldest.
    const order = queued.items.toReversed().sort((a, b) => b.priority - a.priority);
    waiting.show(order.map((t, i) => ({ ...t, place: queued.next ? null : i + 1 })));
    cut.hidden = !queued.next;
    cut.textContent = `Only the newest ${MAX_WAITING} of the ${integer(queue.queued)} waiting trials are listed.`;
    return [queue, listed, trained, queued];
  }, page.signal, { kinds: ["workers", "trials"] }).running;
}
