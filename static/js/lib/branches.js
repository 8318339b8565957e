/** Other branches of the open chat: showing one, catching up with another tab, taking one into a chat of its own. */

import { get, post } from "./http.js";

export class Branches {
  /** The last request; what an earlier one brings is not shown any more. */
  #asked = 0;
  #isAsking = false;
  #isBehind = false;

  /**
   * @param {object} parts
   * @param {import("./thread.js").Thread} parts.thread
   * @param {import("./scroll.js").StickyScroll} parts.scroll
   * @param {() => string} parts.address of the chat, such as /chat/…
   * @param {() => boolean} parts.isBusy whether the thread must stay for now
   * @param {() => void} parts.look ask how the chat stands
   * @param {() => void} parts.replaced the thread shows other messages now
   * @param {(words: string) => void} parts.say to a screen reader
   * @param {(words: string) => void} parts.problem
   */
  constructor(parts) {
    this.parts = parts;
  }

  /** @param {string} message @param {"previous" | "next" | ""} [step] of the switcher that was used */
  async show(message, step = "") {
    const answer = await this.#ask(() => post(`${this.parts.address()}/branch`, { message }, "text/html"));
    if (!answer) return;
    const { html, problem } = answer;
    // A hint that came meanwhile is most likely about this very change.
    if (this.#isBehind) this.parts.look();
    this.#isBehind = false;
    if (html === null) return this.parts.problem(problem);
    const { thread, scroll } = this.parts;
    const old = document.activeElement?.closest(".message");
    scroll.keep(
      () => (old?.isConnected ? old : thread.article(message)),
      () => thread.replace(html),
    );
    this.parts.replaced();
    const article = thread.article(message);
    const place = article?.querySelector('[data-part="place"]')?.textContent ?? "";
    if (step) this.parts.say(`Version ${place.replace("/", " of ")}`);
    if (step) /** @type {HTMLElement | null} */ (article?.querySelector(`[data-step="${step}"]`))?.focus();
  }

  /** Show what the site has, which another tab changed; once what is under way here is over. */
  async catchUp() {
    this.#isBehind = true;
    if (this.#isAsking || this.parts.isBusy()) return;
    const answer = await this.#ask(() => get(`${this.parts.address()}/messages`));
    if (!answer || answer.html === null || this.parts.isBusy()) return; // the next hint, turn or connection tries again
    this.#isBehind = false;
    this.parts.thread.replace(answer.html);
    this.parts.replaced();
    // Another tab may have changed it again since this was read.
    this.parts.look();
  }

  /**
   * @param {() => Promise<import("./http.js").Reply>} request
   * @returns {Promise<{html: string | null, problem: string} | null>} nothing if something else was asked for meanwhile
   */
  async #ask(request) {
    const number = (this.#asked += 1);
    this.#isAsking = true;
    const { response, problem } = await request();
    const html = response && (await response.text());
    if (number !== this.#asked) return null;
    this.#isAsking = false;
    return { html, problem };
  }

  /** What was under way is over. */
  settle() {
    if (this.#isBehind) this.catchUp();
  }

  /** @param {string} message the last one that goes along */
  async fork(message) {
    const { response, problem } = await post(`${this.parts.address()}/fork`, { message });
    if (!response) return this.parts.problem(problem);
    location.assign((await response.json()).url);
  }
}
