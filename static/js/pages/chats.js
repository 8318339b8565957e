/** The list of all chats: tick all of them, and ask before many are deleted. */

import { listenForDialogs, openDialog } from "../lib/dialogs.js";
import { one } from "../lib/dom.js";

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("#chats"));
listenForDialogs();
if (form) prepare(form);

/** @param {HTMLFormElement} form */
function prepare(form) {
  const all = /** @type {HTMLInputElement} */ (one("#tick-all"));
  const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll('[name="chat"]')]);
  const ticked = () => boxes.filter((box) => box.checked).length;
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
  form.addEventListener("change", () => (all.checked = ticked() === boxes.length));
  const folder = document.querySelector("#chats-folder");
  form.addEventListener("keydown", (event) => {
    // Else it would press the first button of all, whichever that is.
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement) || event.isComposing) return;
    event.preventDefault();
    if (event.target === folder) form.requestSubmit(/** @type {HTMLButtonElement} */ (one('[value="move"]', form)));
  });
  form.addEventListener("submit", (event) => {
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    one('[data-part="told"]').textContent = ticked() ? "" : "Choose chats first: tick the boxes before them.";
    if (!ticked()) return event.preventDefault();
    if (button?.value !== "delete" || button.dataset.part === "sure") return;
    event.preventDefault();
    one('[data-part="count"]').textContent = ticked() === 1 ? "One chat" : `${ticked()} chats`;
    openDialog("dialog-delete");
  });
}
