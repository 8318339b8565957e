/** The list of messages: adds what was said, cuts off what is said differently. Sends nothing. */

import { Answer } from "./answer.js";
import { appendServerHtml, one, piece } from "./dom.js";
import { showSiblings } from "./switcher.js";
import { typed } from "./typed.js";

/** @typedef {import("./protocol.js").AcceptedFrame} AcceptedFrame */

export class Thread {
  #list = /** @type {HTMLElement} */ (one("#messages"));
  #empty = /** @type {HTMLElement} */ (one("#empty"));
  /** @type {HTMLElement | null} */
  #pending = null;
  /** @type {Answer[]} all of them, in the order of the page */
  answers = [];

  /** @param {{again: () => void, againInColumn: (message: string) => void, removed: () => void}} steps */
  constructor(steps) {
    this.steps = steps;
    this.#dress();
  }

  get last() {
    return this.answers.at(-1) ?? null;
  }

  /** Those that are being written. */
  get live() {
    return this.answers.filter((answer) => answer.isLive);
  }

  /** The id of the last message, of the first column if there are several; nothing, if it is not stored. */
  get leaf() {
    const last = /** @type {HTMLElement | null} */ (this.#list.lastElementChild);
    return this.columns[0]?.leaf ?? last?.dataset.message ?? "";
  }

  /** Branches side by side, none if one is shown: what each ends with, and which model writes there. */
  get columns() {
    const columns = /** @type {NodeListOf<HTMLElement>} */ (this.#list.querySelectorAll(".column"));
    return [...columns].map(({ dataset }) => ({ leaf: dataset.leaf ?? "", model: dataset.model ?? "" }));
  }

  /** @param {string} generation @returns {Answer | null} */
  answerOf(generation) {
    return this.answers.find((answer) => answer.generation === generation) ?? null;
  }

  /** The last message that the person wrote; of several columns none, because each has its own. */
  get lastOwn() {
    if (this.columns.length) return null;
    return /** @type {HTMLElement | null} */ ([...this.#list.querySelectorAll(".message--user")].at(-1) ?? null);
  }

  /** @param {string} message @returns {HTMLElement | null} */
  article(message) {
    return this.#list.querySelector(`[data-message="${CSS.escape(message)}"]`);
  }

  /** Show these messages instead. @param {string} html of the server */
  replace(html) {
    this.#keepFocus(() => {
      this.#list.replaceChildren();
      this.#pending = null;
      appendServerHtml(this.#list, html);
      this.#empty.hidden = this.#list.childElementCount > 0;
      this.#dress();
    });
    this.steps.removed();
  }

  /** Show a message before the site has stored it. @param {string} text */
  addPending(text) {
    const article = piece("user-message");
    article.classList.add("is-pending");
    one(".message__body", article).append(...typed(text));
    this.#add(article);
    this.#pending = article;
  }

  dropPending() {
    this.#pending?.remove();
    this.#pending = null;
    this.#empty.hidden = this.#list.childElementCount > 0;
  }

  /** Show what a turn has stored, in the place of what it replaces. @param {AcceptedFrame} frame */
  accept(frame) {
    this.#keepFocus(() => this.#accept(frame));
    this.steps.removed();
  }

  /** @param {AcceptedFrame} frame */
  #accept({ after, user_message: question, assistant_message: answer, generation }) {
    this.#cutAfter(after);
    if (question) this.#confirm(question);
    const article = piece("answer");
    showSiblings(article, answer.siblings);
    const added = new Answer(article, this.steps);
    this.answers.push(added);
    added.name({ message: answer.id, model: answer.model, generation });
    this.#add(article);
  }

  /** @param {NonNullable<AcceptedFrame["user_message"]>} message */
  #confirm({ id, html, siblings }) {
    if (!this.#pending) this.#add((this.#pending = piece("user-message")));
    const article = this.#pending;
    this.#pending = null;
    article.classList.remove("is-pending");
    article.dataset.message = id;
    showSiblings(article, siblings);
    const body = one(".message__body", article);
    body.replaceChildren();
    appendServerHtml(body, html);
  }

  /** Who was in a message that goes away is in the last answer then, not at the top of the page. @param {() => void} change */
  #keepFocus(change) {
    const wasInside = this.#list.contains(document.activeElement);
    change();
    const article = this.last?.article;
    if (!wasInside || this.#list.contains(document.activeElement) || !article) return;
    article.setAttribute("tabindex", "-1");
    article.focus({ preventScroll: true });
  }

  /** Take away all after this message, but not what waits to be confirmed. @param {string | null} message nothing: all */
  #cutAfter(message) {
    const last = message && this.article(message);
    let article = last ? last.nextElementSibling : message ? null : this.#list.firstElementChild;
    while (article) {
      const next = article.nextElementSibling;
      if (article !== this.#pending) article.remove();
      article = next;
    }
    this.answers = this.answers.filter((answer) => answer.article.isConnected);
  }

  /** Make answers of the articles that the server wrote. */
  #dress() {
    const articles = /** @type {NodeListOf<HTMLElement>} */ (this.#list.querySelectorAll(".message--answer"));
    // In a column by its own model, and no other: that would leave the columns behind.
    const inColumn = (/** @type {HTMLElement} */ { dataset }) => ({ again: () => this.steps.againInColumn(dataset.message ?? "") });
    this.answers = [...articles].map((article) => new Answer(article, article.closest(".column") ? inColumn(article) : this.steps));
  }

  /** @param {HTMLElement} article */
  #add(article) {
    this.#empty.hidden = true;
    this.#list.append(article);
  }
}
