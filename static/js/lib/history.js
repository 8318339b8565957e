/** The list of earlier chats: refreshing, pinning, archiving, renaming, moving, deleting. */

import { openDialog, postInBackground } from "./dialogs.js";
import { appendServerHtml, one } from "./dom.js";
import { post } from "./http.js";

const REFRESH_DELAY_MS = 120;

export class History {
  #list = /** @type {HTMLElement} */ (one("#history"));
  #rename = /** @type {HTMLDialogElement} */ (one("#dialog-rename"));
  #delete = /** @type {HTMLDialogElement} */ (one("#dialog-delete"));

  #refreshTimer = 0;
  /** The last request for the list; what an earlier one brings is older. */
  #asked = 0;
  /** @type {string | null} */
  #shown = null;

  /**
   * @param {object} steps
   * @param {(title: string) => void} steps.renamed the open chat has a new title
   * @param {(words: string) => void} steps.problem
   */
  constructor({ renamed, problem }) {
    this.problem = problem;
    this.#list.addEventListener("click", (event) => this.#click(event));
    for (const dialog of [this.#rename, this.#delete]) dialog.addEventListener("close", () => this.refresh());
    postInBackground(this.#rename, (form) => {
      if (isOpen(form.action)) renamed(/** @type {HTMLInputElement} */ (one("#rename-title")).value.trim());
    });
    postInBackground(this.#delete, (form) => {
      if (isOpen(form.action)) location.assign("/chat");
    });
  }

  /** Bring the list up to date; several reasons at once make one request. */
  refresh() {
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(() => this.#load(), REFRESH_DELAY_MS);
  }

  async #load() {
    const number = (this.#asked += 1);
    try {
      const response = await fetch(this.#list.dataset.url ?? "", { headers: { Accept: "text/html" } });
      const html = response.ok && !response.redirected ? await response.text() : null;
      if (html !== null && number === this.#asked) this.#replace(html);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network; the list stays as it was
    }
  }

  /**
   * A list that is the same stays, and with it what the mouse is over. While a dialog asks, the list stays too, because the
   * focus goes back to the button that opened it; once it is closed, the list is asked for again.
   * @param {string} html
   */
  #replace(html) {
    if (this.#rename.open || this.#delete.open) return;
    if (html === this.#shown) return this.markCurrent();
    this.#shown = html;
    const focused = this.#focusedPlace();
    const top = this.#list.scrollTop;
    this.#list.replaceChildren();
    appendServerHtml(this.#list, html);
    this.#list.scrollTop = top;
    this.markCurrent();
    if (focused) (/** @type {HTMLElement | null} */ (this.#list.querySelector(focused)) ?? one("#composer-text")).focus();
  }

  markCurrent() {
    for (const link of this.#list.querySelectorAll("a")) {
      if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** @returns {string} a selector that finds the focused element again in the new list */
  #focusedPlace() {
    const active = document.activeElement;
    if (!(active instanceof HTMLElement) || !this.#list.contains(active)) return "";
    const { rename, delete: remove, chat, change } = active.dataset;
    if (chat) return `[data-chat="${CSS.escape(chat)}"]${change === "archive" ? '[data-change="archive"]' : "[aria-pressed]"}`;
    if (rename) return `[data-rename="${CSS.escape(rename)}"]`;
    if (remove) return `[data-delete="${CSS.escape(remove)}"]`;
    return `a[href="${CSS.escape(active.getAttribute("href") ?? "")}"]`;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const { rename, delete: remove, change, chat, folder = "", title = "" } = button?.dataset ?? {};
    if (change && chat) {
      this.#change(change, chat);
    } else if (rename) {
      one("form", this.#rename).setAttribute("action", rename);
      this.#offerFolders(folder);
      const input = /** @type {HTMLInputElement} */ (one("#rename-title"));
      input.value = title;
      openDialog("dialog-rename");
      input.select();
    } else if (remove) {
      one("form", this.#delete).setAttribute("action", remove);
      one('[data-part="title"]', this.#delete).textContent = title;
      openDialog("dialog-delete");
    }
  }

  /** @param {string} change @param {string} chat */
  async #change(change, chat) {
    const { problem } = await post("/chats/change", { change, chat });
    if (problem) this.problem(problem);
    else this.refresh();
  }

  /** Those in the list now. @param {string} folder the chat's own */
  #offerFolders(folder) {
    const names = [...this.#list.querySelectorAll(".history__folder")].map((link) => link.textContent?.trim() ?? "");
    one("#rename-folders").replaceChildren(...names.map((name) => new Option(name, name)));
    /** @type {HTMLInputElement} */ (one("#rename-folder")).value = folder;
  }
}

/** Whether the form's address belongs to the chat on this page. @param {string} action */
function isOpen(action) {
  return location.pathname !== "/chat" && new URL(action).pathname.startsWith(`${location.pathname}/`);
}
