/** On a phone the sidebar is a drawer: it takes the focus, keeps it, and gives it back. */

import { one } from "./dom.js";

export class Drawer {
  #sidebar = /** @type {HTMLElement} */ (one("#sidebar"));
  #main = /** @type {HTMLElement} */ (one("#shell-main"));
  #open = /** @type {HTMLButtonElement} */ (one("#drawer-open"));
  #close = /** @type {HTMLButtonElement} */ (one("#drawer-close"));

  constructor() {
    this.#open.addEventListener("click", () => this.#set(true));
    this.#close.addEventListener("click", () => this.close());
    one("#drawer-veil").addEventListener("click", () => this.close());
    this.#sidebar.addEventListener("click", (event) => {
      const link = event.target instanceof Element && event.target.closest("a, [data-opens]");
      if (link) this.close();
    });
    matchMedia("(max-width: 52rem)").addEventListener("change", () => this.close());
  }

  get isOpen() {
    return this.#sidebar.classList.contains("is-open");
  }

  close() {
    if (this.isOpen) this.#set(false);
  }

  /** @param {boolean} isOpen */
  #set(isOpen) {
    this.#sidebar.classList.toggle("is-open", isOpen);
    this.#main.inert = isOpen;
    this.#open.setAttribute("aria-expanded", String(isOpen));
    (isOpen ? this.#close : this.#open).focus();
  }
}
