/** Native dialogs: opening, closing, and forms whose answer does not replace the page. */

import { one } from "./dom.js";

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
    problem.textContent = await post(form);
    if (problem.textContent) return;
    dialog.close();
    done(form);
  });
}

/** @param {HTMLFormElement} form @returns {Promise<string>} what went wrong, or nothing */
async function post(form) {
  try {
    const request = { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } };
    const response = await fetch(form.action, request);
    if (response.ok) return "";
    const isOurs = response.headers.get("Content-Type")?.startsWith("application/json");
    return isOurs ? (await response.json()).error.message : "The site did not accept this. Reload the page and try again.";
  } catch (error) {
    if (error instanceof TypeError) return "The site could not be reached. Try again when you are connected.";
    throw error;
  }
}
