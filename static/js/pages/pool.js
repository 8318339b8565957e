/** The page of the pool: asks for its state every two seconds while somebody looks, and says so when it cannot. */

import { appendServerHtml } from "../lib/dom.js";

const EVERY_MS = 2000;
const GIVE_UP_MS = 10_000;

const pool = /** @type {HTMLElement} */ (document.getElementById("pool"));
const stale = /** @type {HTMLElement} */ (document.getElementById("pool-stale"));
let isAsking = false;

pool.addEventListener("submit", (event) => {
  const { confirms } = /** @type {HTMLFormElement} */ (event.target).dataset;
  if (confirms && !window.confirm(confirms)) event.preventDefault();
});
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY_MS);

async function refresh() {
  if (isAsking || document.hidden) return;
  isAsking = true;
  try {
    const reply = await fetch(pool.dataset.part ?? "", { signal: AbortSignal.timeout(GIVE_UP_MS), redirect: "error" });
    if (!reply.ok) throw new Error(`the site answered ${reply.status}`);
    show(await reply.text());
    stale.hidden = true;
  } catch (error) {
    const time = pool.querySelector("time")?.textContent ?? "";
    stale.textContent = `Not up to date: this is how it was at ${time}. Asking again (${/** @type {Error} */ (error).message}).`;
    stale.hidden = false;
  } finally {
    isAsking = false;
  }
}

/** @param {string} html rendered by the site, which escapes what workers say */
function show(html) {
  const focused = pool.contains(document.activeElement) ? document.activeElement?.id : "";
  const scrolled = pool.querySelector("#queues")?.scrollLeft ?? 0;
  pool.replaceChildren();
  appendServerHtml(pool, html);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  pool.querySelector("#queues")?.scrollTo({ left: scrolled });
}
