/** The list of messages: adds what was said, replaces an answer that is written again. Sends nothing. */

import { Answer } from "./answer.js";
import { appendServerHtml, make, one, piece } from "./dom.js";

export class Thread {
  #list = /** @type {HTMLElement} */ (one("#messages"));
  #empty = /** @type {HTMLElement} */ (one("#empty"));
  /** @type {HTMLElement | null} */
  #pending = null;
  /** @type {Answer | null} */
  last = null;

  /** @param {{again: () => void}} steps */
  constructor(steps) {
    this.steps = steps;
    const articles = /** @type {NodeListOf<HTMLElement>} */ (this.#list.querySelectorAll(".message--answer"));
    for (const article of articles) this.last = new Answer(article, steps);
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

  /** @param {{id: string, html: string}} message */
  confirmPending({ id, html }) {
    const article = this.#pending;
    this.#pending = null;
    if (!article) return;
    article.classList.remove("is-pending");
    article.dataset.message = id;
    const body = one(".message__body", article);
    body.replaceChildren();
    appendServerHtml(body, html);
  }

  /**
   * @param {{message: string, model: string, generation: string}} ids
   * @param {boolean} replacesLast
   */
  addAnswer(ids, replacesLast) {
    const article = piece("answer");
    const answer = new Answer(article, this.steps);
    answer.name(ids);
    if (replacesLast && this.last) this.last.article.replaceWith(article);
    else this.#add(article);
    this.last = answer;
    return answer;
  }

  /** @param {HTMLElement} article */
  #add(article) {
    this.#empty.hidden = true;
    this.#list.append(article);
  }
}
