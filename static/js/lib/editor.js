/**
 * Changing a message that was sent: its words in a box in its place, until they are sent again or left as they were.
 *
 *   closed -> loading -> open -> busy -> closed (accepted)      busy -> open (refused)
 */

import { one, piece } from "./dom.js";
import { get } from "./http.js";
import { lengthProblem } from "./limits.js";

export class Editor {
  /** @type {HTMLElement | null} */
  #article = null;
  /** @type {HTMLFormElement | null} */
  #form = null;
  #isBusy = false;

  /**
   * @param {object} steps
   * @param {number} steps.maxChars
   * @param {(message: string) => string} steps.address where the text of a message is
   * @param {(message: string, text: string) => void} steps.send
   * @param {(words: string) => void} steps.problem
   * @param {() => void} steps.closed
   */
  constructor(steps) {
    this.steps = steps;
  }

  get isOpen() {
    return this.#article !== null;
  }

  /** @param {HTMLElement} article */
  async open(article) {
    if (this.#isBusy || this.#article === article) return;
    this.close();
    this.#article = article;
    const { response, problem } = await get(this.steps.address(article.dataset.message ?? ""), "text/plain");
    if (this.#article !== article) return; // another one was opened meanwhile
    if (!response) {
      this.#article = null;
      this.steps.problem(problem);
      return;
    }
    this.#show(article, await response.text());
  }

  /** Leave the message as it was. */
  close() {
    const [article, form] = [this.#article, this.#form];
    this.#article = this.#form = null;
    this.#isBusy = false;
    if (!article) return;
    const hadFocus = form?.contains(document.activeElement);
    form?.remove();
    article.classList.remove("is-edited");
    if (hadFocus) /** @type {HTMLElement} */ (one('[data-act="edit"]', article)).focus();
    this.steps.closed();
  }

  /** Its message is not in the thread any more. */
  leave() {
    if (this.#article && !this.#article.isConnected) this.close();
  }

  focus() {
    this.#text?.focus();
  }

  /** What was sent was not accepted: it can be changed or sent once more. */
  reopen() {
    this.#isBusy = false;
    this.#text?.focus();
  }

  get #text() {
    return this.#form && /** @type {HTMLTextAreaElement} */ (one("textarea", this.#form));
  }

  /** @param {HTMLElement} article @param {string} words */
  #show(article, words) {
    const form = (this.#form = /** @type {HTMLFormElement} */ (piece("editor")));
    const text = /** @type {HTMLTextAreaElement} */ (one("textarea", form));
    text.value = words;
    text.addEventListener("keydown", (event) => this.#key(event));
    form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    one('[data-part="cancel"]', form).addEventListener("click", () => this.close());
    article.classList.add("is-edited");
    one(".message__body", article).after(form);
    text.style.height = `${text.scrollHeight + 2}px`;
    text.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }

  submit() {
    const words = this.#text?.value ?? "";
    if (this.#isBusy || !words.trim() || !this.#form) return;
    const problem = lengthProblem(words, this.steps.maxChars);
    one(".editor__problem", this.#form).textContent = problem;
    if (problem) return;
    this.#isBusy = true;
    this.steps.send(this.#article?.dataset.message ?? "", words);
  }
}
