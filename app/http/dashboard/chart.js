// Charts as SVG, drawn to the width that there is, and again when that changes.

import { h, svg } from "./dom.js";

const MARGIN = { left: 40, right: 10, top: 12, bottom: 26 };

// A figure with a title; `draw(canvas)` is called with the current size. Answers a function that draws anew.
export function chart(title, height, draw, { describe = () => title } = {}) {
  const canvas = svg("svg", { role: "img", height, class: "chart" });
  const node = h("figure", {}, h("figcaption", {}, title), canvas);
  const again = () => {
    const width = canvas.clientWidth || canvas.parentNode?.clientWidth || 0;
    if (!width) return;
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    canvas.setAttribute("aria-label", describe());
    canvas.replaceChildren();
    draw(canvas, width, height);
  };
  new ResizeObserver(again).observe(node);
  return { node, canvas, again };
}

// Maps numbers to pixels, evenly or over the logarithm.
export function axis(from, to, low, high, log = false) {
  const t = log ? Math.log : (v) => v;
  const at = (v) => low + ((t(v) - t(from)) / (t(to) - t(from))) * (high - low);
  at.back = (px) => {
    const value = t(from) + ((px - low) / (high - low)) * (t(to) - t(from));
    return log ? Math.exp(value) : value;
  };
  return at;
}

export const plot = (width, height, { left = MARGIN.left } = {}) => ({
  left,
  right: width - MARGIN.right,
  top: MARGIN.top,
  bottom: height - MARGIN.bottom,
});

// Round numbers from `from` to `to`, about n of them.
export function ticks(from, to, n = 4) {
  const rough = (to - from) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let v = Math.ceil(from / step - 1e-9) * step; v <= to + step * 1e-6; v += step) found.push(Number(v.toPrecision(10)));
  return found;
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

const n = (value) => value.toFixed(1);

export const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${n(x)} ${n(y)}`).join("");

export const band = (upper, lower) => `${line(upper)}L${lower.reverse().map(([x, y]) => `${n(x)} ${n(y)}`).join("L")}Z`;
