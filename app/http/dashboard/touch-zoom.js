// Zooms a chart by touch: two fingers spread or move what is between them; one finger reads the values. Vertical moves of
// one finger scroll the page (`touch-action: pan-y`).

// Returns the range of positions, in px of the chart, that is to fill the width when fingers moved from `from` to `to`.
/**
 * @param {number[]} before
 * @param {number[]} after
 */
export function pinchedRange([a, b], [c, d], width) {
  const spread = Math.abs(d - c) < 1 ? 1 : d - c;
  const factor = (b - a) / spread; // old px per new px
  return [a - c * factor, a + (width - c) * factor];
}

// `chart`: { toX(left), zoom([min, max]), point(left, top) }.
export function zoomByTouch(area, { toX, zoom, point }) {
  const fingers = new Map(); // pointer id: its position
  const place = ({ clientX, clientY }) => {
    const box = area.getBoundingClientRect();
    return [clientX - box.left, clientY - box.top];
  };
  const isTouch = (event) => event.pointerType === "touch";
  const release = (event) => fingers.delete(event.pointerId);

  area.addEventListener("pointerdown", (event) => {
    if (isTouch(event)) fingers.set(event.pointerId, place(event));
  });
  area.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, place(event));
    const after = [...fingers.values()];
    if (after.length === 1) return point(...after[0]);
    const order = before[0][0] <= before[1][0] ? [0, 1] : [1, 0];
    const sides = (positions) => order.map((i) => positions[i][0]);
    const [from, to] = pinchedRange(sides(before), sides(after), area.clientWidth);
    if (to - from > 1) zoom([toX(from), toX(to)]);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) area.addEventListener(end, release);
}
