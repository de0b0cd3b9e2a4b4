// What all charts have around their drawing: the title, buttons that reset and export, the legend and the readout.

import { svgDocument, svgPen, canvasPen } from "./chart-pens.js";
import { h } from "./dom.js";
import { saveAs } from "./download.js";
import { colour } from "./theme.js";

export const FONT = "12px system-ui, sans-serif";
export const BOLD = `bold ${FONT}`;
const HEADING = 26; // px of the title in exported pictures

// `reset`: { text, name, act } of the button that undoes what the reader chose, which is hidden at first.
// The others return what is exported: `canvas()` the drawing, `svg()` its size and shapes, `csv()` the text.
/**
 * @param {{
 *   title: string,
 *   frame: HTMLElement,
 *   reset: {text: string, name: string, act: () => void},
 *   canvas: () => HTMLCanvasElement,
 *   svg: () => {width: number, height: number, shapes: string[]},
 *   csv: () => string,
 * }} options
 */
export function chartFigure({ title, frame, reset, canvas, svg, csv }) {
  const button = (text, name, act) =>
    h("button", { type: "button", class: "quiet", "aria-label": `${title}: ${name}`, onclick: act }, text);
  const resetButton = button(reset.text, reset.name, reset.act);
  const exports = [
    button("PNG", "save as PNG", savePng),
    button("SVG", "save as SVG", () => save(svgText(), "image/svg+xml", "svg")),
    button("CSV", "save as CSV", () => save(csv(), "text/csv", "csv")),
  ];
  const legend = h("p", { class: "legend" });
  const readout = h("p", { class: "readout-line", "aria-live": "polite" });
  const node = h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("span", {}, title), h("span", { class: "chart-tools" }, resetButton, exports)),
    frame,
    legend,
    readout,
  );
  resetButton.hidden = true;

  const fileName = (extension) => `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${extension}`;
  const save = (text, type, extension) => saveAs(new Blob([text], { type }), fileName(extension));
  const writeTitle = (pen) => pen.text(8, 17, title, { fill: colour("ink"), font: BOLD, anchor: "start" });

  function savePng() {
    const source = canvas();
    const ratio = source.width / source.clientWidth;
    const picture = h("canvas", { width: source.width, height: source.height + HEADING * ratio });
    const context = picture.getContext("2d");
    context.fillStyle = colour("card");
    context.fillRect(0, 0, picture.width, picture.height);
    context.drawImage(source, 0, HEADING * ratio);
    context.scale(ratio, ratio);
    writeTitle(canvasPen(context));
    picture.toBlob((blob) => saveAs(blob, fileName("png")));
  }

  function svgText() {
    const { width, height, shapes } = svg();
    const heading = svgPen();
    writeTitle(heading);
    const all = [...heading.shapes, `<g transform="translate(0 ${HEADING})">`, ...shapes, "</g>"];
    return svgDocument(width, height + HEADING, colour("card"), all);
  }

  return { node, legend, readout, reset: resetButton };
}

// Returns the sign of a series in a legend; `looks` are classes of its line and its dots.
/**
 * @param {string} color
 * @param {...(string | false | null | undefined)} looks
 */
export function legendSign(color, ...looks) {
  const sign = h("span", { class: ["sign", ...looks].filter(Boolean).join(" "), "aria-hidden": "true" });
  sign.style.color = `var(--${color})`;
  return sign;
}
