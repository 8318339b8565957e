/**
 * Keys that work anywhere on the page. Characters do nothing while somebody types, and nothing at all for a person who
 * has switched them off: who speaks to a computer, or hits keys by chance, needs that (WCAG 2.1.4).
 */

import { openDialog } from "./dialogs.js";
import { one } from "./dom.js";
import { recall, remember } from "./storage.js";

const OFF_KEY = "shortcuts-off";

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
  const isOn = characterSwitch();
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (!closeDrawer()) stop();
      return;
    }
    if (isTyping(document.activeElement) || (event.key.length === 1 && !isOn())) return;
    if (event.key === "?") openDialog("dialog-shortcuts");
    else if (event.key === "/") write();
    else if (!other(event)) return;
    event.preventDefault();
  });
}

/** The box in the list of shortcuts; this browser remembers it. @returns {() => boolean} whether characters do something */
function characterSwitch() {
  const box = /** @type {HTMLInputElement} */ (one("#character-keys"));
  box.checked = !recall(OFF_KEY);
  box.addEventListener("change", () => remember(OFF_KEY, box.checked ? "" : "off"));
  return () => box.checked;
}
