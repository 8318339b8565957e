/** The turns of a battle on the page: a message and two answers under it. Sends nothing. */

import { dressCode } from "../copy.js";
import { appendServerHtml, one, piece } from "../dom.js";
import { typed } from "../typed.js";

/** @typedef {{restart: boolean, blocks: string[], tail: string | null, text: string}} SideUpdate */
/** @typedef {"a" | "b"} Position */

const POSITIONS = /** @type {const} */ (["a", "b"]);

export class Rounds {
  #list = /** @type {HTMLElement} */ (one("#rounds"));
  #empty = /** @type {HTMLElement} */ (one("#empty"));
  /** @type {HTMLElement | null} */
  #pending = null;
  /** @type {[string, string] | null} */
  #names = null;

  constructor() {
    for (const body of this.#list.querySelectorAll('[data-part="body"]')) dressCode(body);
  }

  get #last() {
    return /** @type {HTMLElement | null} */ (this.#list.lastElementChild);
  }

  /** The number of the last turn that is shown; 0 before the first. */
  get lastTurn() {
    return Number(this.#last?.dataset.turn ?? 0);
  }

  /** Show a message before the site has stored it. @param {string} text */
  addPending(text) {
    const round = piece("round");
    round.classList.add("is-pending");
    one('[data-part="question"]', round).append(...typed(text));
    this.#empty.hidden = true;
    this.#list.append(round);
    this.#pending = round;
    if (this.#names) this.name(this.#names);
  }

  dropPending() {
    this.#pending?.remove();
    this.#pending = null;
    this.#empty.hidden = this.#list.childElementCount > 0;
  }

  /** @param {{turn: number, html: string}} turn */
  confirmPending({ turn, html }) {
    const round = this.#pending;
    this.#pending = null;
    if (!round) return;
    round.classList.remove("is-pending");
    round.dataset.turn = String(turn);
    round.setAttribute("aria-label", `Turn ${turn}`);
    for (const side of POSITIONS) this.#label(round, side, turn);
    const question = one('[data-part="question"]', round);
    question.replaceChildren();
    appendServerHtml(question, html);
  }

  /** @param {{a: SideUpdate, b: SideUpdate}} frame */
  progress(frame) {
    const round = this.#last;
    if (!round) return;
    for (const side of POSITIONS) update(one(`[data-side="${side}"]`, round), frame[side]);
  }

  /** @param {"ended" | "failed"} state */
  end(state) {
    if (this.#last) this.#last.dataset.state = state;
  }

  /** Begin with nothing. */
  clear() {
    this.#list.replaceChildren();
    this.#pending = null;
    this.#names = null;
    this.#empty.hidden = false;
  }

  /** Write the names over all answers, and over those that will come. @param {[string, string]} names */
  name(names) {
    this.#names = names;
    POSITIONS.forEach((side, index) => {
      for (const place of this.#list.querySelectorAll(`[data-side="${side}"] [data-part="name"]`)) place.textContent = names[index];
    });
  }

  /** @param {string} verdict */
  mark(verdict) {
    for (const side of this.#list.querySelectorAll(".side")) {
      side.classList.toggle("is-better", /** @type {HTMLElement} */ (side).dataset.side === verdict);
    }
  }

  /** @param {HTMLElement} round @param {Position} side @param {number} turn */
  #label(round, side, turn) {
    const article = one(`[data-side="${side}"]`, round);
    const id = `side-${turn}-${side}`;
    one(".side__head", article).id = id;
    article.setAttribute("aria-labelledby", id);
  }
}

/** @param {Element} side @param {SideUpdate} news */
function update(side, { restart, blocks, tail, text }) {
  const body = one('[data-part="body"]', side);
  const place = /** @type {HTMLElement} */ (one('[data-part="tail"]', side));
  if (restart) body.replaceChildren();
  blocks.flatMap((html) => appendServerHtml(body, html)).forEach(dressCode);
  if (tail !== null) place.textContent = tail;
  if (text) place.append(text);
  if (tail || text) place.normalize();
  place.classList.toggle("is-code", /^ {0,3}(```|~~~)/.test(place.textContent?.slice(0, 6) ?? ""));
}
