// A list of the service, read page by page and refreshed regularly. All of it is read only to search it, or to sort it by a
// column by which the service does not.

import { get, query } from "./api.js";
import { formatOrder } from "./arrange.js";
import { integer } from "./format.js";
import { itemList } from "./item-list.js";
import { h } from "./dom.js";
import { poll } from "./poll.js";

const PAGE = 200; // largest page of the service
const MAX_ITEMS = 10_000;
const WHOLE_INTERVAL = 60_000; // ms between two readings of a whole list; its newest items are read each time
const NEWEST = 50;

// The options are those of an item list, and: `kinds` of resources that change it, if the service reports them; `sorts`:
// for the key of each column by which the service sorts, its name there; `filters()` returns the parameters of the request;
// `idOf` tells items apart.
/**
 * @param {any} page
 * @param {{path: string, kinds?: string[], sorts?: Record<string, string>, filters?: () => object,
 *   idOf?: (item: any) => any, [option: string]: any}} options
 */
export function listing(
  page,
  { path, kinds = [], sorts = {}, filters = () => ({}), idOf = (item) => item.id, ...options },
) {
  const list = itemList(page, { ...options, changed: () => polling.now() });
  const cut = h("p", { class: "hint", hidden: true }, `Only the newest ${integer(MAX_ITEMS)} are searched and sorted.`);
  /** @type {{key: string, at: number, items: any[]} | null} */
  let whole = null; // { key, at, items }: all items

  // Reads pages until there are `n` items; returns them and whether these are all.
  /**
   * @param {number} n
   * @param {string | null} [sort]
   */
  async function read(n, sort = null) {
    const items = [];
    let cursor = null;
    do {
      const limit = Math.min(PAGE, n - items.length);
      const response = await get(query(path, { ...filters(), sort, limit, cursor }), page.signal);
      items.push(...response.items);
      cursor = response.next;
    } while (cursor && items.length < n);
    return { items, isComplete: !cursor };
  }

  async function readWhole() {
    const key = JSON.stringify(filters());
    if (whole?.key !== key || Date.now() - whole.at > WHOLE_INTERVAL) {
      const { items, isComplete } = await read(MAX_ITEMS);
      whole = { key, at: Date.now(), items };
      cut.hidden = isComplete;
    } else {
      const { items, isComplete } = await read(NEWEST);
      const ids = new Set(items.map(idOf));
      const oldest = items.at(-1)?.created_at;
      const older = isComplete ? [] : whole.items.filter((i) => i.created_at <= oldest && !ids.has(idOf(i)));
      whole.items = [...items, ...older];
    }
    return { items: whole.items, isComplete: true };
  }

  async function readArranged() {
    const order = list.order();
    if (order && Object.hasOwn(sorts, order.key)) {
      cut.hidden = true;
      const sort = formatOrder({ ...order, key: sorts[order.key] });
      return { ...(await read(list.wanted(), sort)), isSorted: true };
    }
    return { ...(list.isArranged() ? await readWhole() : await read(list.wanted())), isSorted: false };
  }

  const polling = poll(async () => {
    const asked = formatOrder(list.order());
    const { items, isComplete, isSorted } = await readArranged();
    const isAsked = formatOrder(list.order()) === asked; // otherwise the reader has chosen another order meanwhile
    if (isAsked) list.show(items, isComplete, isSorted);
    return items;
  }, page.signal, { kinds });
  polling.running.catch(page.fail);
  page.root.append(list.node, cut);
  return {
    restart() {
      list.restart();
      polling.now();
    },
    refresh: () => {
      whole = null;
      polling.now();
    },
  };
}
