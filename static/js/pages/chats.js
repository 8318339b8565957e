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
  form.addEventListener("submit", (event) => {
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    if (!ticked()) return event.preventDefault();
    if (button?.value !== "delete" || button.dataset.part === "sure") return;
    event.preventDefault();
    one('[data-part="count"]').textContent = ticked() === 1 ? "One chat" : `${ticked()} chats`;
    openDialog("dialog-delete");
  });
}
