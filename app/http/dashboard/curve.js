// Charts of r(c), d(c) and the predicted accuracy: curve, 90 % band, training points, the published TinyNets by their letters,
// and a mark at the budget. A click on a chart moves the budget there.

import { axes, axis, band, chart, line, logTicks, plot, ticks } from "./chart.js";
import { h, svg } from "./dom.js";
import { fixed, letterOf, percent } from "./format.js";

const BAND_90 = 1.645; // standard deviations to either side

const QUANTITIES = [
  { name: "r", title: "Resolution r(c)", text: (v) => fixed(v, 3), tick: String },
  { name: "d", title: "Depth d(c)", text: (v) => fixed(v, 3), tick: String },
  { name: "accuracy", title: "Predicted accuracy", text: (v) => percent(v), tick: (v) => `${Math.round(100 * v)} %` },
];

export function curves({ min, max, onPick }) {
  const node = h("div", { class: "curves" });
  let data = null; // { curve, points, published }
  let mark = null; // { c, r, d, accuracy }
  const panels = QUANTITIES.map((quantity) => {
    const panel = chart(quantity.title, 210, (canvas, width, height) => draw(canvas, width, height, quantity, data, mark, { min, max }), {
      describe: () => describe(quantity, data, mark),
    });
    if (onPick) followPointer(panel.canvas, { min, max, onPick });
    return { quantity, ...panel };
  });

  function redraw() {
    const shown = panels.filter(({ quantity }) => data?.curve.items.some((p) => p[quantity.name] !== null));
    for (const panel of panels) {
      if (shown.includes(panel) && !panel.node.isConnected) node.append(panel.node);
      if (!shown.includes(panel)) panel.node.remove();
    }
    for (const panel of shown) panel.redraw();
  }
  return {
    node,
    data(newData) {
      data = newData;
      redraw();
    },
    mark(newMark) {
      mark = newMark;
      redraw();
    },
  };
}

function followPointer(canvas, { min, max, onPick }) {
  const pick = (event) => {
    const frame = canvas.getBoundingClientRect();
    const box = plot(frame.width, frame.height);
    const c = axis(min, max, box.left, box.right, true).invert(event.clientX - frame.left);
    onPick(Math.min(max, Math.max(min, c)));
  };
  canvas.classList.add("pickable");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pick(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons & 1 && pick(event));
}

function describe({ name, title, text }, data, mark) {
  const items = data.curve.items.filter((p) => p[name] !== null);
  const ends = `from ${text(items[0][name])} at ratio ${fixed(items[0].c, 3)} to ${text(items.at(-1)[name])} at ratio ${fixed(items.at(-1).c, 3)}`;
  return `${title}, ${ends}${mark ? `; at the budget's ratio ${fixed(mark.c, 3)}: ${text(mark[name] ?? null)}` : ""}.`;
}

function draw(canvas, width, height, { name, tick }, { curve, points, published }, mark, { min, max }) {
  const items = curve.items.filter((p) => p[name] !== null);
  const sd = (p) => BAND_90 * p[`${name}_sd`];
  const dots = [...points, ...published].filter((p) => p[name] !== null && p[name] !== undefined);
  const inside = (p) => p.c >= min && p.c <= max;
  const values = [
    ...items.flatMap((p) => [p[name] - sd(p), p[name] + sd(p)]),
    ...dots.filter(inside).map((p) => p[name]),
    ...(mark?.[name] ? [mark[name]] : []),
  ];
  const low = Math.max(0, Math.min(...values));
  const high = name === "accuracy" ? Math.min(1, Math.max(...values)) : Math.max(...values);
  const room = (high - low) * 0.08 || 0.1;
  const box = plot(width, height);
  const x = axis(min, max, box.left, box.right, true);
  const y = axis(Math.max(0, low - room), high + room, box.bottom, box.top);
  for (const [from, to] of [[min, curve.min_c], [curve.max_c, max]]) {
    if (to > from) canvas.append(svg("rect", { class: "beyond", x: x(from), y: box.top, width: x(to) - x(from), height: box.bottom - box.top }));
  }
  axes(canvas, box, x, y, logTicks(min, max), ticks(Math.max(0, low - room), high + room, 6), { yText: tick });
  canvas.append(
    svg("path", { class: `band ${name}`, d: band(items.map((p) => [x(p.c), y(p[name] + sd(p))]), items.map((p) => [x(p.c), y(Math.max(0, p[name] - sd(p)))])) }),
    svg("path", { class: `line ${name}`, d: line(items.map((p) => [x(p.c), y(p[name])])) }),
  );
  if (mark) canvas.append(svg("line", { class: "budget", x1: x(mark.c), x2: x(mark.c), y1: box.top, y2: box.bottom }));
  for (const p of points.filter((p) => inside(p) && p[name] !== null && p[name] !== undefined && !letterOf(p.name))) {
    canvas.append(svg("circle", { class: `point ${name}`, cx: x(p.c), cy: y(p[name]), r: 3.5 }));
  }
  for (const p of published.filter((p) => inside(p) && p[name] !== null && p[name] !== undefined)) {
    canvas.append(
      svg("circle", { class: `published ${name}`, cx: x(p.c), cy: y(p[name]), r: 4.5 }),
      svg("text", { class: "letter", x: x(p.c), y: y(p[name]) - 9, "text-anchor": "middle" }, letterOf(p.name)),
    );
  }
  if (mark?.[name]) canvas.append(svg("circle", { class: `now ${name}`, cx: x(mark.c), cy: y(mark[name]), r: 6 }));
}
