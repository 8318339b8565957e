/** A sentence with its next step: above the message box, or inside a failed answer. */

import { make, piece } from "./dom.js";
import { explain, stepLink } from "./explain.js";

/** @typedef {{label: string, run: () => void}} Action */

/**
 * @param {Element} place
 * @param {string} text
 * @param {{tone?: "plain" | "problem" | "quiet", actions?: Action[]}} [options]
 */
export function showNotice(place, text, { tone = "plain", actions = [] } = {}) {
  const box = make("div", { className: `notice notice--${tone}` });
  box.append(piece("alert"), make("p", { text }));
  if (actions.length) box.append(make("div", { className: "notice__actions" }, ...actions.map(actionButton)));
  place.replaceChildren(box);
}

/**
 * Show an error of the site. `again` is what "Try again" does here.
 * @param {Element} place
 * @param {import("./explain.js").SiteError} error
 * @param {{again?: () => void}} [options]
 */
export function showError(place, error, { again } = {}) {
  const { text, step, isProblem } = explain(error);
  const actions = again && step === "again" ? [{ label: "Try again", run: again }] : [];
  showNotice(place, text, { tone: isProblem ? "problem" : "plain", actions });
  if (step === "none" || step === "again") return;
  const { label, href } = stepLink(step);
  const link = /** @type {HTMLAnchorElement} */ (make("a", { className: "button button--small", text: label }));
  link.href = href;
  if (step === "reload") link.addEventListener("click", (event) => (event.preventDefault(), location.reload()));
  place.firstElementChild?.append(link);
}

/** @param {Element} place */
export function clearNotice(place) {
  place.replaceChildren();
}

/** @param {Action} action */
function actionButton({ label, run }) {
  const button = make("button", { className: "button button--small", text: label, type: "button" });
  button.addEventListener("click", run);
  return button;
}
