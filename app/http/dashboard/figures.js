// The figures of a study. A figure that the service cannot draw yet shows the reason.

import { getBlob, isAbort } from "./api.js";
import { h } from "./dom.js";
import { ordered } from "./spec-names.js";

const TITLES = {
  "accuracy-against-flops": "Accuracy against multiply-adds",
  "accuracy-against-multipliers": "Accuracy against r, d and w",
  "multipliers-against-flops": "r, d and w on the front against multiply-adds",
  "predictor-curve": "The fitted r(c) and d(c)",
  "predicted-against-measured": "Accuracy, predicted and measured",
  hypervolume: "Hypervolume as networks finish",
  "accuracy-against-latency": "Accuracy against latency",
  family: "Families by rule",
};

export function figures(path, names, signal) {
  const cards = ordered(names, Object.keys(TITLES)).map((name) => {
    const title = TITLES[name] ?? name.replaceAll("-", " ");
    const image = h("img", { alt: title, hidden: true });
    const reason = h("p", { class: "hint" }, "Drawing …");
    const node = h("figure", { class: "drawing", id: `figure-${name}` }, h("figcaption", {}, title), image, reason);
    /** @type {string | null} */
    let url = null;
    return {
      node,
      async refresh() {
        try {
          const picture = await getBlob(`${path}/figures/${name}.svg`, signal);
          if (url) URL.revokeObjectURL(url);
          image.src = url = URL.createObjectURL(picture);
          image.hidden = false;
          reason.textContent = "";
        } catch (error) {
          if (isAbort(error) || !error.status) throw error;
          image.hidden = true;
          reason.textContent = error.message;
        }
      },
      free: () => url && URL.revokeObjectURL(url),
    };
  });
  let isRequested = false;
  let isLoading = false;
  signal.addEventListener("abort", () => cards.forEach((card) => card.free()));
  return {
    node: h("div", { class: "drawings" }, cards.map((card) => card.node)),
    // Loads the figures one after the other, to limit the load on the service. A refresh during a refresh follows it.
    async refresh() {
      isRequested = true;
      if (isLoading) return;
      isLoading = true;
      try {
        while (isRequested) {
          isRequested = false;
          for (const card of cards) await card.refresh();
        }
      } finally {
        isLoading = false;
      }
    },
  };
}
