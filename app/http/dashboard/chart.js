// SVG charts that are redrawn when their width changes.

import { h, svg } from "./dom.js";

const MARGIN = { left: 40, right: 10, top: 12, bottom: 26 };

// Creates a figure with a title; `draw(canvas, width, height)` draws its content.
export function chart(title, height, draw, { describe = () => title } = {}) {
  const canvas = svg("svg", { role: "img", height, class: "chart" });
  const node = h("figure", {}, h("figcaption", {}, title), canvas);
  const redraw = () => {
    const width = canvas.clientWidth || canvas.parentNode?.clientWidth || 0;
    if (!width) return;
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    canvas.setAttribute("aria-label", describe());
    canvas.replaceChildren();
    draw(canvas, width, height);
  };
  new ResizeObserver(redraw).observe(node);
  return { node, canvas, redraw };
}

// Returns a linear or logarithmic map from numbers to pixels.
export function axis(from, to, low, high, log = false) {
  const t = log ? Math.log : (v) => v;
  const toPixel = (v) => low + ((t(v) - t(from)) / (t(to) - t(from))) * (high - low);
  toPixel.invert = (px) => {
    const value = t(from) + ((px - low) / (high - low)) * (t(to) - t(from));
    return log ? Math.exp(value) : value;
  };
  return toPixel;
}

export const plot = (width, height, { left = MARGIN.left } = {}) => ({
  left,
  right: width - MARGIN.right,
  top: MARGIN.top,
  bottom: height - MARGIN.bottom,
});

// Returns about `n` round numbers between `from` and `to`.
export function ticks(from, to, n = 4) {
  const rough = (to - from) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const values = [];
  for (let v = Math.ceil(from / step - 1e-9) * step; v <= to + step * 1e-6; v += step) values.push(Number(v.toPrecision(10)));
  return values;
}

export const logTicks = (from, to) =>
  [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10].filter((v) => v >= from * 0.999 && v <= to * 1.001);

export function axes(canvas, box, x, y, xs, ys, { xText = String, yText = String } = {}) {
  for (const v of ys) {
    canvas.append(
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) }),
      svg("text", { class: "tick", x: box.left - 6, y: y(v) + 4, "text-anchor": "end" }, yText(v)),
    );
  }
  for (const v of xs) {
    canvas.append(
      svg("line", { class: "mark", x1: x(v), x2: x(v), y1: box.bottom, y2: box.bottom + 4 }),
      svg("text", { class: "tick", x: x(v), y: box.bottom + 17, "text-anchor": "middle" }, xText(v)),
    );
  }
  canvas.append(svg("line", { class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
}

const format = (value) => value.toFixed(1);

export const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${format(x)} ${format(y)}`).join("");

export const band = (upper, lower) => `${line(upper)}L${lower.reverse().map(([x, y]) => `${format(x)} ${format(y)}`).join("L")}Z`;
