// The chart of all views, on uPlot's scales, axes, cursor and zoom. What it draws, it also exports as PNG, SVG and CSV.
//
// chart({ title, x, y, height, onPick, signal }); an axis: { label, text, tick, log, whole, min, max },
// where min and max are the ends of x, and limits of y.
// show({ series, mark, beyond, diagonal, label }); a series: { label, color, line, joined, dash, dots, items }, where `dots`
// is "filled", "hollow" or nothing, the line joins all items unless `joined` has those that it does, and an item: { x, y, low, high, text, href, letter }. An item with `href` is opened by
// a click or Enter; a click elsewhere calls `onPick` with its x. `mark`: { x, y, color }. `beyond`: ranges of x to
// shade.

import uPlot from "./vendor/uPlot.esm.js";
import { envelope, nearest, stepTo, toCsv, withRoom } from "./chart-data.js";
import { BOLD, FONT, chartFigure, legendSign } from "./chart-figure.js";
import { canvasPen, svgPen } from "./chart-pens.js";
import { h } from "./dom.js";
import { colour } from "./theme.js";
import { logTicks, ticks } from "./ticks.js";
import { zoomByTouch } from "./touch-zoom.js";

const REACH = 24; // px from the pointer to a point
const DRAG = 4; // px that tell a drag from a click
const PX_PER_TICK = { x: 48, y: 32 };

/** @typedef {{x: number, y: number, low?: number, high?: number, text?: string, href?: string, letter?: string}} Item */
/** @typedef {{label: string, color: string, line?: boolean, joined?: Item[], dash?: number[], dots?: string, items: Item[]}} Series */
/** @typedef {{x: number, y?: number, color: string}} Mark */
/** @typedef {{series: Series[], mark?: Mark | null, beyond?: number[][], diagonal?: boolean, label?: string}} Content */
/** @typedef {Item & {series: Series}} SeriesItem */
/**
 * What this module uses of uPlot.
 * @typedef {{
 *   width: number,
 *   ctx: CanvasRenderingContext2D,
 *   over: HTMLElement,
 *   scales: Record<string, {min: number, max: number}>,
 *   bbox: {left: number, top: number, width: number, height: number},
 *   valToPos(value: number, scale: string): number,
 *   posToVal(px: number, scale: string): number,
 *   setScale(scale: string, range: {min: number, max: number}): void,
 *   setData(data: number[][], resetScales: boolean): void,
 *   setSize(size: {width: number, height: number}): void,
 *   redraw(rebuildPaths?: boolean, recalculateAxes?: boolean): void,
 *   destroy(): void,
 * }} Plot
 */

/** @param {{title: string, x: any, y: any, height?: number, onPick?: (x: number) => void, signal: AbortSignal}} options */
export function chart({ title, x, y, height = 230, onPick, signal }) {
  const dot = h("span", { class: "chart-dot", hidden: true });
  const frame = h("div", {
    class: onPick ? "plot pickable" : "plot",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "chart",
  });
  frame.style.minHeight = `${height}px`; // so that nothing moves when the chart is drawn
  const { node, legend, readout, reset } = chartFigure({
    title,
    frame,
    reset: { text: "Reset zoom", name: "reset the zoom", act: () => zoomTo(fullX()) },
    canvas: () => drawn().ctx.canvas,
    svg: toSvg,
    csv: () => toCsv(x.label, y.label, visible()),
  });
  const hidden = new Set(); // labels of series
  /** @type {Content} */
  let content = { series: [] };
  /** @type {Plot | null} */
  let plot = null; // until the chart has a width
  /** @type {SeriesItem | null} */
  let current = null; // the item under the cursor
  /** @type {Event | null} */
  let pointerEvent = null; // the last one that moved the cursor
  let isByKeyboard = false; // the current item was reached by keys since then

  function drawn() {
    if (!plot) throw new Error(`The chart ${title} is not drawn yet.`);
    return plot;
  }

  const visible = () => content.series.filter((s) => !hidden.has(s.label));
  /** @returns {SeriesItem[]} */
  const items = () => visible().flatMap((s) => s.items.map((item) => ({ ...item, series: s })));
  const inView = (item) => item.x >= drawn().scales.x.min && item.x <= drawn().scales.x.max;
  const at = ({ x, y }) => [drawn().valToPos(x, "x"), drawn().valToPos(y, "y")];

  function fullX() {
    const [xs] = envelope(visible());
    const [from, to] = xs.length ? [xs[0], xs.at(-1)] : [x.log ? 1 : 0, x.log ? 10 : 1];
    if (x.log) return [x.min ?? from / 1.15, x.max ?? to * 1.15];
    const room = (to - from) * 0.03 || Math.abs(to) * 0.1 || 1;
    return [x.min ?? from - room, x.max ?? to + room];
  }

  const data = () => envelope(visible());

  function xTicks(u, min, max) {
    const n = box(u).width / PX_PER_TICK.x;
    const values = x.log ? logTicks(min, max, n) : ticks(min, max, n);
    return x.whole ? values.filter(Number.isInteger) : values;
  }

  const yTicks = (u, min, max) => ticks(min, max, box(u).height / PX_PER_TICK.y);

  function create(width) {
    const axis = (side, { label, tick }, size) => ({
      side,
      label,
      size,
      labelSize: 18,
      font: FONT,
      labelFont: FONT,
      labelGap: 0,
      gap: 4,
      stroke: () => colour("soft"),
      grid: { stroke: () => colour("rule"), width: 1 },
      ticks: { stroke: () => colour("rule"), width: 1, size: 4 },
      splits: (u, index, min, max) => (side === 2 ? xTicks : yTicks)(u, min, max),
      filter: (u, splits) => splits,
      values: (u, splits) => splits.map(tick ?? String),
    });
    const u = new uPlot(
      {
        width,
        height,
        padding: [10, 12, 0, 0],
        scales: {
          x: {
            time: false,
            distr: x.log ? 3 : 1,
            range: (u, min, max) => (isUnzoomed(u.data[0], min, max) ? fullX() : [min, max]),
          },
          y: {
            range: (u, min, max) =>
              min === null
                ? [0, 1]
                : withRoom(Math.min(min, content.mark?.y ?? min), Math.max(max, content.mark?.y ?? max), y),
          },
        },
        axes: [axis(2, x, 28), axis(3, y, 44)],
        series: [{}, ...[1, 2].map(() => ({ paths: () => null, points: { show: false } }))],
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: true, y: false, dist: DRAG } },
        hooks: {
          drawAxes: [(u) => onCanvas(u, (pen) => drawGround(pen, box(u)))],
          draw: [(u) => onCanvas(u, (pen) => drawContent(pen, box(u)))],
          setCursor: [(u) => u.cursor.left >= 0 && followPointer(u)],
          setScale: [(u, key) => key === "x" && (reset.hidden = isWhole(u))],
        },
      },
      data(),
      frame,
    );
    plot = u;
    u.over.append(dot);
    zoomByTouch(u.over, {
      toX: (left) => u.posToVal(left, "x"),
      zoom: (range) => zoomTo(within(range)),
      point,
    });
    let pressed = 0;
    u.over.addEventListener("mouseenter", () => u.syncRect()); // the page may have moved it
    u.over.addEventListener("mousedown", (event) => (pressed = event.clientX));
    u.over.addEventListener("click", (event) => Math.abs(event.clientX - pressed) < DRAG && pick(event));
    u.over.addEventListener("mouseleave", () => isByKeyboard || say(null));
  }

  // uPlot asks for a range around the data, or around what is zoomed to.
  const isUnzoomed = (xs, min, max) => xs.length < 2 || (min === xs[0] && max === xs.at(-1));
  const isWhole = (u) =>
    fullX().every(
      (limit, i) =>
        Math.abs(u.scales.x[i ? "max" : "min"] / limit - 1) < 1e-6 || u.scales.x[i ? "max" : "min"] === limit,
    );
  const within = ([min, max]) => [Math.max(min, fullX()[0]), Math.min(max, fullX()[1])];
  /** @param {number[]} range */
  const zoomTo = ([min, max]) => drawn().setScale("x", { min, max });

  const box = (u) => {
    const [left, top, width, height] = [u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height].map(
      (v) => v / uPlot.pxRatio,
    );
    return { left, top, width, height, right: left + width, bottom: top + height };
  };

  function onCanvas(u, draw) {
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    u.ctx.scale(uPlot.pxRatio, uPlot.pxRatio);
    draw(canvasPen(u.ctx));
    u.ctx.restore();
  }

  function drawGround(pen, { left, top, bottom, right }) {
    const toX = (value) => Math.min(right, Math.max(left, left + drawn().valToPos(value, "x")));
    for (const [from, to] of content.beyond ?? []) {
      if (to > from)
        pen.path(
          [
            [toX(from), top],
            [toX(to), top],
            [toX(to), bottom],
            [toX(from), bottom],
          ],
          { fill: colour("ink"), alpha: 0.06 },
        );
    }
  }

  function drawContent(pen, { left, top, bottom }) {
    const place = (x, y) => [left + drawn().valToPos(x, "x"), top + drawn().valToPos(y, "y")];
    if (content.diagonal) {
      const { min, max } = drawn().scales.x;
      pen.path([place(min, min), place(max, max)], { stroke: colour("edge"), dash: [4, 3] });
    }
    for (const { color, line, dash, dots, items: all, joined = all } of visible()) {
      const ink = colour(color);
      const banded = all.filter((item) => item.low !== undefined);
      if (line) {
        pen.path([...banded.map((i) => place(i.x, i.high)), ...banded.map((i) => place(i.x, i.low)).reverse()], {
          fill: ink,
          alpha: 0.18,
        });
        pen.path(
          joined.map((i) => place(i.x, i.y)),
          { stroke: ink, width: 2, dash },
        );
      } else {
        for (const item of banded)
          pen.path([place(item.x, item.low), place(item.x, item.high)], { stroke: ink, alpha: 0.5 });
      }
      if (!dots) continue;
      for (const item of all) {
        const [cx, cy] = place(item.x, item.y);
        pen.circle(
          cx,
          cy,
          dots === "hollow" ? 4.5 : 3.5,
          dots === "hollow" ? { fill: colour("card"), stroke: ink, width: 2 } : { fill: ink },
        );
        if (item.letter) pen.text(cx, cy - 9, item.letter, { fill: colour("ink"), font: BOLD });
      }
    }
    if (content.mark) {
      const [cx] = place(content.mark.x, 1);
      pen.path(
        [
          [cx, top],
          [cx, bottom],
        ],
        { stroke: colour("ink"), dash: [3, 3], alpha: 0.6 },
      );
      if (content.mark.y !== undefined)
        pen.circle(...place(content.mark.x, content.mark.y), 6, {
          fill: colour(content.mark.color),
          stroke: colour("card"),
          width: 2,
        });
    }
  }

  // The cursor is also set when uPlot draws again, and when the page moves below a pointer that rests. Then the place
  // that the keyboard chose stays, as it does when the pointer leaves.
  function followPointer({ cursor }) {
    const event = cursor.event;
    if (event !== pointerEvent && (event?.movementX || event?.movementY)) isByKeyboard = false;
    pointerEvent = event;
    if (isByKeyboard) say(current, current);
    else point(cursor.left, cursor.top);
  }

  // Says the values at a place: the point there, or each line's value at that x.
  function point(left, top) {
    const dotted = items().filter((item) => item.series.dots && inView(item));
    const hit = nearest(dotted, (item) => Math.hypot(at(item)[0] - left, at(item)[1] - top), REACH);
    say(hit ?? { x: drawn().posToVal(left, "x") }, hit);
  }

  /**
   * @param {{x: number} | null} place
   * @param {SeriesItem | null} [item]
   */
  function say(place, item = null) {
    current = item;
    dot.hidden = !item;
    frame.classList.toggle("on-link", Boolean(item?.href));
    if (item) dot.style.transform = `translate(${at(item)[0]}px, ${at(item)[1]}px)`;
    readout.textContent = place ? describeAt(place, item) : "";
  }

  /**
   * @param {{x: number}} place
   * @param {SeriesItem | null} item
   */
  function describeAt(place, item) {
    if (item) return `${item.series.label}: ${describeItem(item)}${item.href ? " · click or Enter opens it" : ""}`;
    const lines = visible().filter((s) => s.line);
    const values = lines.flatMap((s) => {
      const closest = nearest(s.items, (i) => Math.abs(i.x - place.x));
      return closest ? [`${s.label} ${describeValue(closest)}`] : [];
    });
    return [`${x.label} ${x.text(place.x)}`, ...values].join(" · ");
  }

  /** @param {Item} item */
  const describeValue = (item) =>
    y.text(item.y) + (item.low === undefined ? "" : ` (${y.text(item.low)} to ${y.text(item.high)})`);
  const describeItem = (item) => item.text ?? `${x.label} ${x.text(item.x)}, ${y.label} ${describeValue(item)}`;

  function pick(event) {
    if (current?.href) location.hash = current.href;
    else if (onPick) onPick(drawn().posToVal(event.clientX - drawn().over.getBoundingClientRect().left, "x"));
  }

  // Arrows, Home and End walk through the items; plus and minus zoom; Escape resets.
  frame.addEventListener("keydown", (event) => {
    const stops = items()
      .filter(inView)
      .sort((a, b) => a.x - b.x);
    const here = stops.findIndex((i) => i.series === current?.series && i.x === current?.x && i.y === current?.y);
    const to = stepTo(event.key, here, stops.length);
    const factor = { "+": 0.5, "-": 2 }[event.key];
    if (to !== null) {
      isByKeyboard = true;
      say(stops[to], stops[to]);
    } else if (factor) zoomBy(factor);
    else if (event.key === "Escape") zoomTo(fullX());
    else if (event.key === "Enter" && current) current.href ? (location.hash = current.href) : onPick?.(current.x);
    else return;
    event.preventDefault();
  });

  function zoomBy(factor) {
    const u = drawn();
    const middle = current ? at(current)[0] : u.over.clientWidth / 2;
    const half = (u.over.clientWidth / 2) * factor;
    zoomTo(within([u.posToVal(middle - half, "x"), u.posToVal(middle + half, "x")]));
  }

  function showLegend() {
    const toggle = (label) => {
      hidden.has(label) ? hidden.delete(label) : hidden.add(label);
      update();
    };
    legend.replaceChildren(
      ...(content.series.length < 2 ? [] : content.series).map(({ label, color, line, dash, dots }) => {
        const sign = legendSign(color, line && "line", dash && "dashed", dots);
        return h(
          "button",
          {
            type: "button",
            class: "quiet",
            "data-key": label,
            "aria-pressed": String(!hidden.has(label)),
            onclick: () => toggle(label),
          },
          sign,
          label,
        );
      }),
    );
  }

  function update() {
    const { activeElement } = document;
    const focused = legend.contains(activeElement) && activeElement instanceof HTMLElement ? activeElement.dataset.key : null;
    showLegend();
    if (focused) [...legend.children].find((item) => item.dataset.key === focused)?.focus();
    frame.setAttribute("aria-label", `${content.label ?? title}. Arrows walk through the values, plus and minus zoom.`);
    if (!plot) return resize();
    const isZoomed = !reset.hidden;
    plot.setData(data(), !isZoomed);
    if (isZoomed) plot.redraw(true, true);
  }

  function resize() {
    const width = frame.clientWidth;
    if (!width) return;
    if (!plot) create(width);
    else if (width !== plot.width) plot.setSize({ width, height });
  }

  function toSvg() {
    const u = drawn();
    const area = box(u);
    const [ground, inside, labels] = [svgPen(), svgPen(), svgPen()];
    const soft = { fill: colour("soft") };
    for (const value of xTicks(u, u.scales.x.min, u.scales.x.max)) {
      const left = area.left + u.valToPos(value, "x");
      ground.path(
        [
          [left, area.top],
          [left, area.bottom],
        ],
        { stroke: colour("rule") },
      );
      labels.text(left, area.bottom + 16, (x.tick ?? String)(value), soft);
    }
    for (const value of yTicks(u, u.scales.y.min, u.scales.y.max)) {
      const top = area.top + u.valToPos(value, "y");
      ground.path(
        [
          [area.left, top],
          [area.right, top],
        ],
        { stroke: colour("rule") },
      );
      labels.text(area.left - 6, top + 4, (y.tick ?? String)(value), { ...soft, anchor: "end" });
    }
    labels.text((area.left + area.right) / 2, height - 4, x.label, soft);
    labels.text(12, (area.top + area.bottom) / 2, y.label, { ...soft, turn: -90 });
    drawGround(inside, area);
    drawContent(inside, area);
    const { left, top, width, height: tall } = area;
    const clip = `<clipPath id="area"><rect x="${left}" y="${top}" width="${width}" height="${tall}"/></clipPath>`;
    const shapes = [
      clip,
      ...ground.shapes,
      `<g clip-path="url(#area)">`,
      ...inside.shapes,
      "</g>",
      ...labels.shapes,
    ];
    return { width: u.width, height, shapes };
  }

  new ResizeObserver(resize).observe(frame);
  addEventListener("rdw-theme", () => plot?.redraw(false), { signal });
  signal.addEventListener("abort", () => plot?.destroy());
  return {
    node,
    show(newContent) {
      content = newContent;
      update();
    },
    mark(mark) {
      content = { ...content, mark };
      plot?.redraw(false, false);
    },
  };
}
