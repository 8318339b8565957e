/** The small ‹ 2/3 › of a message that has alternatives. */

import { one } from "./dom.js";

/** @typedef {{index: number, count: number, previous: string | null, next: string | null}} Siblings */

/** @param {HTMLElement} article @param {Siblings} siblings */
export function showSiblings(article, { index, count, previous, next }) {
  const switcher = /** @type {HTMLElement} */ (one('[data-part="switcher"]', article));
  switcher.hidden = count < 2;
  one('[data-part="place"]', switcher).textContent = `${index}/${count}`;
  for (const [step, message] of [["previous", previous], ["next", next]]) {
    const button = /** @type {HTMLElement} */ (one(`[data-step="${step}"]`, switcher));
    button.dataset.show = message ?? "";
    button.setAttribute("aria-disabled", String(!message));
  }
}
