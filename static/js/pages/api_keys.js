/** The page of API keys: copy the new one, ask before one is revoked. */

import { copyText } from "../lib/copy.js";
import { listenForDialogs, openDialog } from "../lib/dialogs.js";
import { one } from "../lib/dom.js";

listenForDialogs();

document.addEventListener("click", async (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const { copiesId, revoke, name = "" } = button?.dataset ?? {};
  if (button && copiesId) {
    button.textContent = (await copyText(one(`#${copiesId}`).textContent ?? "")) ? "Copied" : "Select it and copy by hand";
  } else if (revoke) {
    const dialog = openDialog("dialog-revoke");
    one("form", dialog).setAttribute("action", revoke);
    one('[data-part="name"]', dialog).textContent = name;
  }
});
