/** Thumbs on answers: the thumb is kept at once, and the reason for a bad one is asked for afterwards. */

import { openDialog, postInBackground } from "./dialogs.js";
import { one } from "./dom.js";
import { post } from "./http.js";

export class FeedbackButtons {
  #dialog = /** @type {HTMLDialogElement} */ (one("#dialog-feedback"));

  /**
   * @param {object} parts
   * @param {() => string} parts.address of the chat
   * @param {(words: string) => void} parts.say to a screen reader
   * @param {(words: string) => void} parts.problem
   */
  constructor(parts) {
    this.parts = parts;
    postInBackground(this.#dialog, () => parts.say("Thank you."));
  }

  /** @param {HTMLElement} article @param {HTMLElement} button the thumb that was pressed; once more takes it back */
  async press(article, button) {
    const thumb = button.getAttribute("aria-pressed") === "true" ? "" : (button.dataset.thumb ?? "");
    const url = `${this.parts.address()}/messages/${article.dataset.message}/feedback`;
    const { problem } = await post(url, { thumb });
    if (problem) return this.parts.problem(problem);
    for (const other of article.querySelectorAll("[data-thumb]")) {
      other.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (other).dataset.thumb === thumb));
    }
    if (thumb !== "down") return;
    const form = /** @type {HTMLFormElement} */ (one("form", this.#dialog));
    form.reset();
    form.setAttribute("action", url);
    openDialog("dialog-feedback");
  }
}
