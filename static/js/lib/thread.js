/** The list of messages: adds what was said, cuts off what is said differently. Sends nothing. */

import { Answer } from "./answer.js";
import { appendServerHtml, make, one, piece } from "./dom.js";
import { showSiblings } from "./switcher.js";

/** @typedef {import("./protocol.js").AcceptedFrame} AcceptedFrame */

export class Thread {
  #list = /** @type {HTMLElement} */ (one("#messages"));
  #empty = /** @type {HTMLElement} */ (one("#empty"));
  /** @type {HTMLElement | null} */
  #pending = null;
  /** @type {Answer | null} */
  last = null;

  /** @param {{again: () => void, removed: () => void}} steps */
  constructor(steps) {
    this.steps = steps;
    this.#dress();
  }

  /** The id of the last message, if it is stored. */
  get leaf() {
    return /** @type {HTMLElement | null} */ (this.#list.lastElementChild)?.dataset.message ?? "";
  }

  /** The last message that the person wrote. */
  get lastOwn() {
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
    const body = one(".message__body", article);
    for (const paragraph of text.trim().split(/\n{2,}/)) body.append(make("p", { className: "plain", text: paragraph }));
    this.#add(article);
    this.#pending = article;
  }

  dropPending() {
    this.#pending?.remove();
    this.#pending = null;
    this.#empty.hidden = this.#list.childElementCount > 0;
  }

  /**
   * Show what a request has stored, in the place of what it replaces.
   * @param {import("./outbox.js").Request} request @param {AcceptedFrame} frame
   */
  accept(request, frame) {
    this.#keepFocus(() => this.#accept(request, frame));
    this.steps.removed();
  }

  /** @param {import("./outbox.js").Request} request @param {AcceptedFrame} frame */
  #accept(request, { user_message: question, assistant_message: answer, generation }) {
    if (request.type === "turn.edit") this.#cut(this.article(request.message));
    if (request.type === "turn.regenerate") this.#cut((request.message && this.article(request.message)) || this.last?.article);
    if (request.type === "turn.continue") this.#cut(this.last?.article);
    if (question) this.#confirm(question);
    const article = piece("answer");
    showSiblings(article, answer.siblings);
    this.last = new Answer(article, this.steps);
    this.last.name({ message: answer.id, model: answer.model, generation });
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

  /** Take away this message and all after it. @param {Element | null | undefined} article */
  #cut(article) {
    while (article) {
      const next = article.nextElementSibling;
      article.remove();
      article = next;
    }
  }

  /** Make answers of the articles that the server wrote. */
  #dress() {
    this.last = null;
    const articles = /** @type {NodeListOf<HTMLElement>} */ (this.#list.querySelectorAll(".message--answer"));
    for (const article of articles) this.last = new Answer(article, this.steps);
  }

  /** @param {HTMLElement} article */
  #add(article) {
    this.#empty.hidden = true;
    this.#list.append(article);
  }
}
