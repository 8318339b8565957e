/** Keys that work anywhere on the page. Letters do nothing while somebody types. */

import { openDialog } from "./dialogs.js";

/** @param {Element | null} element */
function isTyping(element) {
  return element instanceof HTMLElement && (element.matches("input, textarea, select") || element.isContentEditable);
}

/**
 * @param {object} steps
 * @param {() => boolean} steps.closeDrawer returns whether there was one to close
 * @param {() => void} steps.stop
 * @param {() => void} steps.write go to the message box
 * @param {(event: KeyboardEvent) => boolean} [steps.other] a page's own keys; returns whether this was one
 */
export function listenForKeys({ closeDrawer, stop, write, other = () => false }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (!closeDrawer()) stop();
      return;
    }
    if (isTyping(document.activeElement)) return;
    if (event.key === "?") openDialog("dialog-shortcuts");
    else if (event.key === "/") write();
    else if (!other(event)) return;
    event.preventDefault();
  });
}
