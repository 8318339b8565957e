/** The page of API keys: copy the new one, ask before one is rotated or revoked. */

import { copyText } from "../lib/copy.js";
import { listenForDialogs, openDialog } from "../lib/dialogs.js";
import { one } from "../lib/dom.js";

listenForDialogs();

document.addEventListener("click", async (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const { copiesId, rotate, revoke, name = "" } = button?.dataset ?? {};
  if (button && copiesId) {
    button.textContent = (await copyText(one(`#${copiesId}`).textContent ?? "")) ? "Copied" : "Select it and copy by hand";
  } else if (rotate) {
    ask("dialog-rotate", rotate, name);
  } else if (revoke) {
    ask("dialog-revoke", revoke, name);
  }
});

/** @param {string} id @param {string} action where its form is posted @param {string} name of the key */
function ask(id, action, name) {
  const dialog = openDialog(id);
  one("form", dialog).setAttribute("action", action);
  one('[data-part="name"]', dialog).textContent = name;
}
