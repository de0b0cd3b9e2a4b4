// The structure of a network by stage.

import { h } from "./dom.js";
import { integer, px } from "./format.js";
import { table } from "./table.js";

export function structure({ resolution, stem, stages, head, activation, in_chans: channels, num_classes: classes }) {
  const own = (s) =>
    [s.activation, s.skip === false ? "no shortcut" : null, s.joined ? "joined" : null].filter(Boolean);
  const rows = [
    { name: "input", channels, note: `${px(resolution)} px` },
    { name: "stem", channels: stem.channels, kernel: stem.kernel, stride: stem.stride, note: activation },
    ...stages.map((s, i) => ({ ...s, name: `stage ${i}`, note: own(s).join(", ") })),
    { name: "head", channels: head.channels, note: head.channels ? "" : "none" },
    { name: "classifier", channels: classes, note: "" },
  ];
  const number = (label, value) => ({
    label,
    number: true,
    cell: (row) => (value(row) === undefined ? "" : value(row)),
  });
  const columns = [
    { label: "Part", head: true, cell: (row) => row.name },
    { label: "Block", cell: (row) => row.block ?? "" },
    number("Repeats", (row) => row.repeats),
    number("Channels", (row) => integer(row.channels)),
    number("Kernel", (row) => row.kernel),
    number("Stride", (row) => row.stride),
    number("Expansion", (row) => row.expansion),
    number("SE ratio", (row) => row.se_ratio),
    number("Groups", (row) => (row.group_width ? `width ${row.group_width}` : row.groups)),
    { label: "Notes", text: true, cell: (row) => row.note ?? "" },
  ];
  return h("div", {}, table("Structure by stage", columns, rows, { shown: false }));
}
