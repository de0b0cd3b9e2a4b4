// Parallel coordinates: a line for each network across an axis for each of its numbers. A drag along an axis chooses a
// range; the line under the pointer says its values, and a click opens its trial.
//
// parallelChart({ title, axes, signal }); an axis: { name, label, short, text, tick, log }, where
// `short` is the label where there is little room.
// show(series); a series: { label, color, items }; an item: { values: { axis name: number }, href }.

import { nearest, stepTo } from "./chart-data.js";
import { BOLD, FONT, chartFigure, legendSign } from "./chart-figure.js";
import { canvasPen, svgPen } from "./chart-pens.js";
import { csvRow } from "./csv.js";
import { h } from "./dom.js";
import { distanceToLine, isWithin, limits, shareOf, valueAt } from "./parallel-data.js";
import { colour } from "./theme.js";
import { logTicks, ticks } from "./ticks.js";

const HEIGHT = 300;
const SIDE = 46; // px beside the outer axes, for their ticks and labels
const [TOP, BOTTOM] = [16, 34];
const REACH = 14; // px from the pointer to a line
const DRAG = 5; // px that tell a drag from a click
const ON_AXIS = 18; // px from the pointer to an axis that it drags along
const PALE = 0.12;
const PX_PER_LETTER = 7;
const PX_PER_LABEL = 160;

export function parallelChart({ title, axes, signal }) {
  const canvas = h("canvas", {});
  const strips = axes.map(() => h("span", { class: "axis-strip" })); // where a finger drags instead of scrolling
  const frame = h(
    "div",
    {
      class: "plot parallel",
      tabindex: "0",
      role: "application",
      "aria-roledescription": "chart",
      "aria-label": `${title}. Arrows walk through the networks, Enter opens one.`,
    },
    canvas,
    strips,
  );
  const { node, legend, readout, reset } = chartFigure({
    title,
    frame,
    reset: { text: "Reset ranges", name: "reset the ranges", act: () => choose({}) },
    canvas: () => canvas,
    svg: toSvg,
    csv: chosenToCsv,
  });
  let series = [];
  let ranges = {}; // the chosen range of each axis that has one
  let bounds = {}; // the limits of each axis
  /** @type {any} */
  let current = null; // the line that is told of
  let width = 0;

  const lines = () => series.flatMap((s) => s.items.map((item) => ({ ...item, color: s.color, series: s.label })));
  const chosen = () => lines().filter((line) => isWithin(line.values, ranges));
  const xOf = (i) => SIDE + (i * (width - 2 * SIDE)) / (axes.length - 1);
  const yOf = (axis, value) => HEIGHT - BOTTOM - shareOf(value, bounds[axis.name], axis.log) * (HEIGHT - TOP - BOTTOM);
  const xs = () => axes.map((axis, i) => xOf(i));
  const ys = ({ values }) => axes.map((axis) => yOf(axis, values[axis.name]));
  const valueOn = (axis, y) =>
    valueAt(Math.min(1, Math.max(0, (HEIGHT - BOTTOM - y) / (HEIGHT - TOP - BOTTOM))), bounds[axis.name], axis.log);

  function drawLines(pen) {
    const all = lines();
    const isIn = (line) => isWithin(line.values, ranges);
    const opacity = Math.max(0.25, Math.min(0.9, 40 / all.length));
    const path = (line, style) =>
      pen.path(
        ys(line).map((y, i) => [xOf(i), y]),
        { stroke: colour(line.color), ...style },
      );
    for (const line of all.filter((l) => !isIn(l))) path(line, { alpha: PALE });
    for (const line of all.filter(isIn))
      path(line, line.color === "edge" ? { alpha: opacity } : { width: 1.75, alpha: 0.9 });
    if (current) path(current, { stroke: colour("ink"), width: 3 });
  }

  function drawAxes(pen) {
    const hasRoom = xOf(1) - xOf(0) > PX_PER_LABEL;
    axes.forEach((axis, i) => {
      const x = xOf(i);
      const [low, high] = bounds[axis.name];
      pen.path(
        [
          [x, TOP],
          [x, HEIGHT - BOTTOM],
        ],
        { stroke: colour("edge") },
      );
      for (const value of axis.log ? logTicks(low, high, 5) : ticks(low, high, 5)) {
        const y = yOf(axis, value);
        if (y < TOP - 1 || y > HEIGHT - BOTTOM + 1) continue;
        pen.path(
          [
            [x - 4, y],
            [x, y],
          ],
          { stroke: colour("edge") },
        );
        const text = (axis.tick ?? String)(value);
        const left = x - 8 - PX_PER_LETTER * text.length;
        pen.path(
          [
            [left, y - 7],
            [x - 5, y - 7],
            [x - 5, y + 7],
            [left, y + 7],
          ],
          { fill: colour("card"), alpha: 0.8 },
        );
        pen.text(x - 6, y + 4, text, { fill: colour("soft"), font: FONT, anchor: "end" });
      }
      const isLast = i === axes.length - 1;
      const style = { fill: colour("ink"), font: BOLD, anchor: isLast ? "end" : "middle" };
      pen.text(isLast ? width - 4 : x, HEIGHT - 8, hasRoom ? axis.label : (axis.short ?? axis.label), style);
      if (!ranges[axis.name]) return;
      const [from, to] = ranges[axis.name].map((value) => yOf(axis, value));
      pen.path(
        [
          [x - 5, from],
          [x + 5, from],
          [x + 5, to],
          [x - 5, to],
          [x - 5, from],
        ],
        {
          stroke: colour("ink"),
          fill: colour("accent"),
          alpha: 0.35,
        },
      );
    });
  }

  function draw() {
    if (!width || !series.length) return;
    const ratio = devicePixelRatio;
    canvas.width = width * ratio;
    canvas.height = HEIGHT * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${HEIGHT}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    drawLines(canvasPen(context));
    drawAxes(canvasPen(context));
  }

  function say(line, isForced = false) {
    const isSame = line?.values === current?.values;
    current = line;
    frame.classList.toggle("on-link", Boolean(line?.href));
    const values = line && axes.map((axis) => `${axis.label.split(",")[0]} ${axis.text(line.values[axis.name])}`);
    readout.textContent = line
      ? `${line.series}: ${values.join(" · ")}${line.href ? " · click or Enter opens it" : ""}`
      : describeRanges();
    if (isForced || !isSame) draw();
  }

  function describeRanges() {
    const parts = axes
      .filter((axis) => ranges[axis.name])
      .map((axis) => `${axis.label.split(",")[0]} ${ranges[axis.name].map((value) => axis.text(value)).join(" to ")}`);
    return parts.length
      ? `${chosen().length} of ${lines().length} networks: ${parts.join(" · ")}`
      : "A drag along an axis chooses a range.";
  }

  function choose(newRanges) {
    ranges = newRanges;
    reset.hidden = !Object.keys(ranges).length;
    say(null, true);
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /**
   * @param {number[]} at
   * @returns {any}
   */
  const lineAt = ([x, y]) => nearest(chosen(), (line) => distanceToLine(xs(), ys(line), x, y), REACH);

  /** @type {{axis: any, y: number, isRange: boolean} | null} */
  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    if (!series.length) return;
    const [x, y] = place(event);
    const axis = nearest(
      axes.map((a, i) => ({ ...a, i })),
      ({ i }) => Math.abs(xOf(i) - x),
      ON_AXIS,
    );
    drag = { axis, y, isRange: false };
    if (axis) frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!series.length) return;
    const [x, y] = place(event);
    frame.classList.toggle(
      "on-axis",
      axes.some((axis, i) => Math.abs(xOf(i) - x) < ON_AXIS),
    );
    drag?.axis ? dragTo(drag, y) : say(lineAt([x, y]));
  });

  function dragTo(drag, y) {
    if (!drag.isRange && Math.abs(y - drag.y) < DRAG) return;
    drag.isRange = true;
    const ends = [drag.y, y].map((at) => valueOn(drag.axis, at)).sort((a, b) => a - b);
    choose({ ...ranges, [drag.axis.name]: ends });
  }

  frame.addEventListener("pointerup", (event) => {
    if (drag?.axis) dragTo(drag, place(event)[1]);
    const last = drag;
    drag = null;
    if (!last || last.isRange || !series.length) return;
    const line = lineAt(place(event));
    if (line?.href) location.hash = line.href;
    else if (last.axis) choose(Object.fromEntries(Object.entries(ranges).filter(([name]) => name !== last.axis.name)));
    else say(line);
  });
  frame.addEventListener("pointercancel", () => (drag = null));
  frame.addEventListener("pointerleave", () => !drag && say(null));

  // Arrows, Home and End walk through the chosen networks by their values on the last axis.
  frame.addEventListener("keydown", (event) => {
    const by = axes.at(-1).name;
    const stops = chosen().sort((a, b) => a.values[by] - b.values[by]);
    const here = stops.findIndex((line) => line.values === current?.values);
    const to = stepTo(event.key, here, stops.length);
    if (to !== null) say(stops[to]);
    else if (event.key === "Escape") choose({});
    else if (event.key === "Enter" && current?.href) location.hash = current.href;
    else return;
    event.preventDefault();
  });

  function toSvg() {
    const pen = svgPen();
    drawLines(pen);
    drawAxes(pen);
    return { width, height: HEIGHT, shapes: pen.shapes };
  }

  function chosenToCsv() {
    const rows = chosen().map((line) => [line.series, ...axes.map((axis) => line.values[axis.name])]);
    return [["series", ...axes.map((axis) => axis.name)], ...rows].map(csvRow).join("");
  }

  function resize() {
    width = frame.clientWidth;
    strips.forEach((strip, i) => (strip.style.left = `${xOf(i) - ON_AXIS}px`));
    draw();
  }

  const observer = new ResizeObserver(resize);
  observer.observe(frame);
  addEventListener("rdw-theme", draw, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  return {
    node,
    show(newSeries) {
      series = newSeries;
      bounds = Object.fromEntries(
        axes.map((axis) => [
          axis.name,
          limits(
            lines().map((l) => l.values[axis.name]),
            axis.log,
          ),
        ]),
      );
      legend.replaceChildren(
        ...series.map(({ label, color }) => h("span", { class: "key" }, legendSign(color, "line"), label)),
      );
      resize();
      say(null);
    },
  };
}
