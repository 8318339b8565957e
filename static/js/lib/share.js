/** Links to the open chat, and its export. The site writes the list; here it is shown and its buttons work. */

import { copyText } from "./copy.js";
import { openDialog } from "./dialogs.js";
import { appendServerHtml, one } from "./dom.js";
import { get, post } from "./http.js";

export class Sharing {
  #dialog = /** @type {HTMLDialogElement} */ (one("#dialog-share"));
  #links = /** @type {HTMLElement} */ (one("#share-links"));
  #problem = one("#dialog-share .dialog__problem");
  #button = /** @type {HTMLElement} */ (one("#share-open"));

  /**
   * @param {object} parts
   * @param {() => string | null} parts.conversation
   * @param {(words: string) => void} parts.say to a screen reader
   */
  constructor(parts) {
    this.parts = parts;
    this.#button.addEventListener("click", () => this.open());
    this.#links.addEventListener("submit", (event) => this.#create(event));
    this.#links.addEventListener("click", (event) => this.#click(event));
  }

  /** There is a chat now. */
  offer() {
    this.#button.hidden = !this.parts.conversation();
  }

  async open() {
    const address = `/chat/${this.parts.conversation()}`;
    const exports = /** @type {NodeListOf<HTMLAnchorElement>} */ (this.#dialog.querySelectorAll("[data-format]"));
    for (const link of exports) link.href = `${address}/export?format=${link.dataset.format}`;
    openDialog("dialog-share");
    await this.#show(await get(`${address}/links`));
  }

  /** @param {SubmitEvent} event */
  async #create(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    await this.#show(await post(form.action, new FormData(form), "text/html"));
    /** @type {HTMLInputElement | null} */ (this.#links.querySelector(".links__address"))?.select();
  }

  /** @param {import("./http.js").Reply} reply */
  async #show({ response, problem }) {
    this.#problem.textContent = problem;
    if (!response) return;
    const html = await response.text();
    this.#links.replaceChildren();
    appendServerHtml(this.#links, html);
  }

  /** @param {MouseEvent} event */
  async #click(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const { copiesId, revoke } = button?.dataset ?? {};
    if (button && copiesId) {
      const done = await copyText(/** @type {HTMLInputElement} */ (one(`#${copiesId}`)).value);
      button.textContent = done ? "Copied" : "Copy by hand";
      this.parts.say(done ? "Copied" : "Could not copy");
    } else if (revoke) {
      const { problem } = await post(revoke, {});
      if (problem) this.#problem.textContent = problem;
      else await this.#show(await get(`/chat/${this.parts.conversation()}/links`));
    }
  }
}
