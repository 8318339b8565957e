/** Native dialogs: opening, closing, and forms whose answer does not replace the page. */

import { one } from "./dom.js";
import { post } from "./http.js";

/** Buttons with `data-opens` and `data-closes`, and a click beside the dialog. */
export function listenForDialogs() {
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const opener = /** @type {HTMLElement | null} */ (event.target.closest("[data-opens]"));
    if (opener) openDialog(opener.dataset.opens ?? "");
    if (event.target.closest("[data-closes]") || event.target.matches("dialog")) event.target.closest("dialog")?.close();
  });
}

/** @param {string} id @returns {HTMLDialogElement} */
export function openDialog(id) {
  const dialog = /** @type {HTMLDialogElement} */ (one(`#${id}`));
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/**
 * Post a dialog's form in the background and close it.
 * @param {HTMLDialogElement} dialog
 * @param {(form: HTMLFormElement) => void} done
 */
export function postInBackground(dialog, done) {
  const form = /** @type {HTMLFormElement} */ (one("form", dialog));
  const problem = one(".dialog__problem", dialog);
  dialog.addEventListener("close", () => (problem.textContent = ""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = (await post(form.action, new FormData(form))).problem;
    if (problem.textContent) return;
    dialog.close();
    done(form);
  });
}
