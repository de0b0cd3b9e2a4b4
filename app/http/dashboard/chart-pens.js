// Pens that draw the same shapes on a canvas and as SVG. A shape's style: { stroke, fill, width, dash, alpha }.

const TEXT_ALIGN = { start: "left", middle: "center", end: "right" };

export function canvasPen(context) {
  const paint = ({ stroke, fill, width = 1, dash = [], alpha = 1 }) => {
    context.globalAlpha = alpha;
    if (fill) {
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.lineJoin = "round";
      context.stroke();
    }
    context.globalAlpha = 1;
  };
  return {
    path(points, style) {
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      paint(style);
    },
    circle(x, y, radius, style) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      paint(style);
    },
    text(x, y, text, { fill, font = "", anchor = "middle" }) {
      context.fillStyle = fill;
      context.font = font;
      context.textAlign = TEXT_ALIGN[anchor];
      context.textBaseline = "alphabetic";
      context.fillText(text, x, y);
    },
  };
}

const escape = (text) =>
  String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

const element = (name, attributes, content = "") =>
  `<${name} ${Object.entries(attributes)
    .filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k}="${escape(v)}"`)
    .join(" ")}>${content}</${name}>`;

// `shapes` has the SVG elements, as text, in the order drawn.
export function svgPen() {
  const shapes = [];
  const style = ({ stroke = "none", fill = "none", width, dash, alpha }) => ({
    stroke,
    fill,
    "stroke-width": width,
    "stroke-dasharray": dash?.join(" "),
    opacity: alpha,
  });
  const fixed = (v) => v.toFixed(1);
  return {
    shapes,
    path: (points, s) =>
      shapes.push(
        element("path", {
          d: points.map(([x, y], i) => `${i ? "L" : "M"}${fixed(x)} ${fixed(y)}`).join(""),
          ...style(s),
        }),
      ),
    circle: (x, y, r, s) => shapes.push(element("circle", { cx: fixed(x), cy: fixed(y), r, ...style(s) })),
    text: (x, y, text, { fill, anchor = "middle", turn = 0, font = "" }) =>
      shapes.push(
        element(
          "text",
          {
            x: fixed(x),
            y: fixed(y),
            fill,
            "text-anchor": anchor,
            "font-weight": /^(bold|6)/.test(font) ? 600 : undefined,
            transform: turn ? `rotate(${turn} ${fixed(x)} ${fixed(y)})` : undefined,
          },
          escape(text),
        ),
      ),
  };
}

export const svgDocument = (width, height, background, shapes) =>
  element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      "font-family": "sans-serif",
      "font-size": 12,
    },
    element("rect", { width, height, fill: background }) + shapes.join(""),
  );
