/** Search while typing: what is found takes the place of the history until the box is empty again. */

import { appendServerHtml, one } from "./dom.js";
import { get } from "./http.js";

const DELAY_MS = 250;

export class Search {
  #form = /** @type {HTMLFormElement} */ (one("#search"));
  #text = /** @type {HTMLInputElement} */ (one("#search-text"));
  #found = /** @type {HTMLElement} */ (one("#found"));
  #history = /** @type {HTMLElement} */ (one("#history"));
  #timer = 0;
  #asked = "";

  constructor() {
    this.#text.addEventListener("input", () => this.#plan());
    this.#text.addEventListener("keydown", (event) => event.key === "Escape" && this.#text.value && this.#clear(event));
    this.#plan();
  }

  #plan() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), DELAY_MS);
  }

  async #look() {
    const text = this.#text.value.trim();
    if (text === this.#asked) return;
    this.#asked = text;
    if (!text) return this.#show(null);
    const { response, problem } = await get(`${this.#form.action}?part=1&q=${encodeURIComponent(text)}`);
    const html = response && (await response.text());
    if (this.#asked === text) this.#show(html ?? "", problem);
  }

  /** @param {string | null} html nothing: the history again @param {string} [problem] */
  #show(html, problem = "") {
    this.#found.hidden = html === null;
    this.#history.hidden = html !== null;
    this.#found.replaceChildren();
    if (problem) this.#found.textContent = problem;
    else if (html) appendServerHtml(this.#found, html);
  }

  /** @param {KeyboardEvent} event */
  #clear(event) {
    event.preventDefault();
    this.#text.value = "";
    this.#look();
  }
}
