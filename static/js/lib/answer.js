/**
 * One answer on the page, from the first "waiting" to its end.
 *
 *   queued -> running -> complete | stopped | failed
 *
 * A snapshot may come at any time before the end and replaces everything shown.
 */

import { appendServerHtml, one } from "./dom.js";
import { dressCode } from "./copy.js";
import { wordsOf } from "./formulas.js";
import { showError, showNotice } from "./notice.js";

/** @typedef {"queued"|"running"|"complete"|"stopped"|"failed"} AnswerState */

/** @type {Readonly<Record<AnswerState, readonly AnswerState[]>>} */
const NEXT = Object.freeze({
  queued: ["queued", "running", "complete", "stopped", "failed"],
  running: ["queued", "running", "complete", "stopped", "failed"], // queued: taken over by another worker
  complete: ["complete"],
  stopped: ["stopped"],
  failed: ["failed"],
});

const WAITING = "Waiting for the model…"; // as in templates/conversations/_answer.html
const LENGTH = "length"; // why an answer ended that was cut
const CUT_OFF = "The answer reached its length limit and may be cut off.";

export class Answer {
  #tail = document.createTextNode("");
  #parts;

  /**
   * @param {HTMLElement} article made from templates/conversations/_answer.html
   * @param {{again?: () => void}} steps
   */
  constructor(article, { again }) {
    this.article = article;
    this.again = again;
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (one(`[data-part="${name}"]`, article));
    this.#parts = { body: part("body"), tail: part("tail"), notice: part("notice"), meta: part("meta"), model: part("model"), waiting: part("waiting"), goOn: part("go-on") };
    dressCode(article);
    this.#describeEnd(articleEnd(article));
  }

  get generation() {
    return this.article.dataset.generation ?? "";
  }

  get state() {
    return /** @type {AnswerState} */ (this.article.dataset.state);
  }

  get isLive() {
    return this.state === "queued" || this.state === "running";
  }

  get hasText() {
    return this.#parts.body.childElementCount > 0 || this.#tail.data !== "";
  }

  get model() {
    return this.#parts.model.textContent ?? "";
  }

  get tail() {
    return this.#tail.data;
  }

  /** @param {{message: string, model: string, generation: string}} ids */
  name({ message, model, generation }) {
    this.article.dataset.message = message;
    this.article.dataset.generation = generation;
    this.#parts.model.textContent = model;
  }

  #wait() {
    this.#parts.waiting.textContent = WAITING;
  }

  /** @param {{state: AnswerState, blocks: string[], tail: string}} frame */
  snapshot({ state, blocks, tail }) {
    this.#wait();
    this.#parts.body.replaceChildren();
    this.blocks({ blocks, tail });
    this.#move(state);
  }

  /** @param {{place: number | null, eta_s: number | null}} frame without a place it waits no longer for its turn */
  queued({ place, eta_s }) {
    if (place === null) return this.#wait();
    const time = eta_s === null ? "" : `, about ${Math.max(1, Math.round(eta_s))} s`;
    this.#parts.waiting.textContent = `Place ${place} in the queue${time}`;
  }

  /** @param {string} text */
  delta(text) {
    if (this.state === "queued") this.#move("running");
    this.#setTail(null, text);
  }

  /**
   * @param {{blocks: string[], tail: string}} frame
   * @returns {string[]} the words of the new blocks
   */
  blocks({ blocks, tail }) {
    if (this.state === "queued" && blocks.length) this.#move("running");
    const added = blocks.flatMap((html) => appendServerHtml(this.#parts.body, html));
    const words = added.map(wordsOf);
    added.forEach(dressCode);
    this.#setTail(tail);
    return words;
  }

  /** @param {import("./protocol.js").EndFrame} frame */
  end({ state, error, usage, tokens_per_s, finish_reason }) {
    this.#move(state);
    this.#describeEnd({ state, error, tokens: usage?.completion_tokens ?? null, speed: tokens_per_s, reason: finish_reason });
  }

  /** @param {string | null} replacement @param {string} [addition] */
  #setTail(replacement, addition = "") {
    if (replacement !== null) this.#tail.data = replacement;
    if (addition) this.#tail.appendData(addition);
    const { tail } = this.#parts;
    if (!this.#tail.data) this.#tail.remove();
    else if (!this.#tail.isConnected) tail.replaceChildren(this.#tail);
    tail.classList.toggle("is-code", /^ {0,3}(```|~~~)/.test(this.#tail.data.slice(0, 6)));
    const thinks = isThought(this.#tail.data);
    tail.classList.toggle("is-thought", thinks);
    if (thinks) this.#parts.waiting.textContent = "Thinking…";
  }

  /** @param {AnswerState} state */
  #move(state) {
    if (!NEXT[this.state].includes(state)) throw new Error(`answer: ${this.state} cannot become ${state}`);
    this.article.dataset.state = state;
  }

  /** @param {End} end */
  #describeEnd({ state, error, tokens, speed, reason }) {
    const { notice, meta, goOn } = this.#parts;
    const brokeOff = state === "failed" || state === "stopped" || reason === LENGTH;
    goOn.hidden = !(brokeOff && this.hasText);
    const facts = [];
    if (tokens) facts.push(tokens === 1 ? "1 token" : `${tokens} tokens`);
    if (speed) facts.push(`${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s`);
    meta.textContent = facts.join(" · ");
    notice.hidden = !brokeOff;
    if (state === "failed") showError(notice, error ?? { code: "", message: "" }, { again: this.again });
    else if (state === "stopped") showNotice(notice, "You stopped this answer.", { tone: "quiet" });
    else if (reason === LENGTH) showNotice(notice, CUT_OFF, { tone: "quiet" });
  }
}

/** Whether this is what the model thinks before it answers; it is shown folded when it is complete. @param {string} tail */
function isThought(tail) {
  return tail.trimStart().startsWith("<think>");
}

/** @typedef {{state: AnswerState, error: import("./explain.js").SiteError | null, tokens: number | null, speed: number | null, reason?: string}} End */

/** How the server says that this answer ended. @param {HTMLElement} article @returns {End} */
function articleEnd(article) {
  const meta = /** @type {HTMLElement} */ (one('[data-part="meta"]', article));
  const { errorCode, errorMessage = "", finishReason = "", state } = article.dataset;
  return {
    state: /** @type {AnswerState} */ (state),
    error: errorCode ? { code: errorCode, message: errorMessage } : null,
    tokens: Number(meta.dataset.completionTokens) || null,
    speed: Number(meta.dataset.tokensPerS) || null,
    reason: finishReason,
  };
}
