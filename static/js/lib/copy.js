/** Copy buttons of code blocks and messages, by one listener for the whole page. */

import { piece } from "./dom.js";
import { spellFormulas } from "./formulas.js";

const SHOWN_FOR_MS = 1600;

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is on the clipboard now
 */
export async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error; // not allowed: try the old way
    }
  }
  return copyBySelection(text);
}

/** The clipboard API exists on secure origins only; a site inside a network may be plain HTTP. @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}

/**
 * Give the code in `root` its copy buttons, and what scrolls sideways its place in the tab order.
 * @param {Element} root a message or one block; call it once for each
 */
export function dressCode(root) {
  for (const bar of root.querySelectorAll(".code__bar")) bar.append(piece("copy-code"));
  for (const wide of root.querySelectorAll(".code pre, .table table")) {
    sizes.observe(/** @type {Element} */ (wide.matches("pre") ? wide : wide.parentElement));
  }
}

/**
 * It tells of each once it is laid out, and when a phone is turned or a window made narrow: what fitted scrolls now.
 * All are measured before one is marked, or the page would be laid out again for each.
 */
const sizes = new ResizeObserver((changes) => {
  const measured = changes.map(({ target }) => ({ target, scrolls: target.scrollWidth > target.clientWidth }));
  for (const { target, scrolls } of measured) {
    if (scrolls) target.setAttribute("tabindex", "0");
    else target.removeAttribute("tabindex");
  }
});

/** @param {(words: string) => void} say tells a screen reader */
export function listenForCopies(say) {
  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copies]") : null;
    if (!(button instanceof HTMLElement)) return;
    const done = await copyText(textFor(button));
    say(done ? "Copied" : "Could not copy. Select the text and copy it by hand.");
    flash(button, done);
  });
}

/** @param {HTMLElement} button */
function textFor(button) {
  if (button.dataset.copies === "code") return button.closest(".code")?.querySelector("code")?.textContent ?? "";
  const body = button.closest(".message")?.querySelector(".message__body");
  const copy = /** @type {HTMLElement | undefined} */ (body?.cloneNode(true));
  copy?.querySelectorAll(".code__bar, .thoughts").forEach((extra) => extra.remove());
  copy?.querySelectorAll("details").forEach((file) => (file.open = true));
  if (copy) spellFormulas(copy);
  return copy ? plainText(copy) : "";
}

/** `innerText` needs layout to know where lines end, so the copy is put into the page for a moment. @param {HTMLElement} element */
function plainText(element) {
  element.classList.add("visually-hidden");
  element.style.whiteSpace = "normal";
  document.body.append(element);
  const text = element.innerText.trim();
  element.remove();
  return text;
}

/** @param {HTMLElement} button @param {boolean} done */
function flash(button, done) {
  const label = button.querySelector("span");
  button.dataset.copied = String(done);
  if (label) label.textContent = done ? "Copied" : "Failed";
  setTimeout(() => {
    delete button.dataset.copied;
    if (label) label.textContent = "Copy";
  }, SHOWN_FOR_MS);
}
