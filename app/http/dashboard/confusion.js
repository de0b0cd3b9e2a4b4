// What a classifier took for what: a matrix for few classes, the most frequent confusions for many.

import { h } from "./dom.js";
import { integer } from "./format.js";
import { table } from "./table.js";

const MAX_SHADE = 40; // % of the accent, with which text can still be read

// `result` is that of a trial; null if it has no classes.
export function confusion(result, caption = "Test images by class and guess") {
  const [matrix, pairs, classes] = ["confusion", "worst_pairs", "by_class"].map((name) => result?.[`test_${name}`]);
  if (matrix && classes?.length === matrix.length)
    return matrixTable(
      matrix,
      classes.map((c) => c.class),
      caption,
    );
  if (!pairs?.length) return null;
  const columns = [
    { label: "Class", head: true, cell: (p) => p.class },
    { label: "Taken for", text: true, cell: (p) => p.guessed },
    { label: "Images", number: true, cell: (p) => integer(p.images) },
  ];
  return table("Most frequent confusions of test images", columns, pairs);
}

function matrixTable(matrix, classes, caption) {
  const most = Math.max(1, ...matrix.flat());
  const cell = (n) => {
    const node = h("span", { class: n ? "shade" : "shade none" }, integer(n));
    node.style.setProperty("--share", `${Math.round((MAX_SHADE * n) / most)}%`);
    return node;
  };
  const columns = [
    { label: "Class", head: true, cell: ({ name }) => name },
    ...classes.map((name, i) => ({ label: name, number: true, cell: ({ row }) => cell(row[i]) })),
  ];
  const node = table(
    `${caption}: a row for each class, a column for each guess`,
    columns,
    matrix.map((row, i) => ({ row, name: classes[i] })),
  );
  node.classList.add("matrix");
  return node;
}
