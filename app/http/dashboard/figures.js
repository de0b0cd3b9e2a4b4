// The paper's figures of a study, each as the service draws it; one that it cannot draw yet says why.

import { blob, left } from "./api.js";
import { h } from "./dom.js";

const FIGURES = {
  "accuracy-against-flops": "Accuracy against multiply-adds",
  "accuracy-against-multipliers": "Accuracy against r, d and w",
  "multipliers-against-flops": "r, d and w on the front against multiply-adds",
  "predictor-curve": "The fitted r(c) and d(c)",
  "predicted-against-measured": "Accuracy, predicted and measured",
  hypervolume: "Hypervolume as networks finish",
  "accuracy-against-latency": "Accuracy against latency",
  family: "The rules' families",
};

export function figures(path, signal) {
  const cards = Object.entries(FIGURES).map(([name, title]) => {
    const image = h("img", { alt: title, hidden: true });
    const why = h("p", { class: "hint" }, "Drawing …");
    const node = h("figure", { class: "drawing", id: `figure-${name}` }, h("figcaption", {}, title), image, why);
    let url = null;
    return {
      node,
      async again() {
        try {
          const drawn = await blob(`${path}/figures/${name}.svg`, signal);
          if (url) URL.revokeObjectURL(url);
          image.src = url = URL.createObjectURL(drawn);
          image.hidden = false;
          why.textContent = "";
        } catch (error) {
          if (left(error) || !error.status) throw error;
          image.hidden = true;
          why.textContent = error.message;
        }
      },
      free: () => url && URL.revokeObjectURL(url),
    };
  });
  let wanted = false;
  let drawing = false;
  signal.addEventListener("abort", () => cards.forEach((card) => card.free()));
  return {
    node: h("div", { class: "drawings" }, cards.map((card) => card.node)),
    // One after the other: drawing takes the service a while, and others ask it too. What is asked for meanwhile comes after.
    async again() {
      wanted = true;
      if (drawing) return;
      drawing = true;
      try {
        while (wanted) {
          wanted = false;
          for (const card of cards) await card.again();
        }
      } finally {
        drawing = false;
      }
    },
  };
}
