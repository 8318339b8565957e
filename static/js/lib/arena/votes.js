/**
 * The four verdicts, by button and by key, and what is told after one.
 *
 *   hidden -> off (being written) -> on -> hidden (the result is shown)
 *
 * Events: `vote` (detail: the verdict), `reveal`, `again` (detail: "new_round" or "rematch").
 */

import { make, one } from "../dom.js";

/** @typedef {"a" | "b" | "tie" | "both_bad"} VerdictName */
/** @typedef {{name: string, model: string, organisation: string, licence: string, description: string, rank: number | null, rating: number | null, board_url: string}} Told */

/** @type {Readonly<Record<string, VerdictName>>} */
const VERDICT_OF_KEY = Object.freeze({ ArrowLeft: "a", a: "a", ArrowRight: "b", b: "b", t: "tie", x: "both_bad" });
/** @type {Readonly<Record<string, string>>} */
const AGAIN_OF_KEY = Object.freeze({ n: "new_round", r: "rematch" });
/** @type {Readonly<Record<VerdictName, string>>} */
const WORDS = Object.freeze({ a: "A is better", b: "B is better", tie: "Tie", both_bad: "Both are bad" });

export class Votes extends EventTarget {
  #bar = /** @type {HTMLElement} */ (one("#votes"));
  #result = /** @type {HTMLElement} */ (one("#result"));
  #title = /** @type {HTMLElement} */ (one("#result-title"));
  #reveal = document.querySelector("#reveal");

  constructor() {
    super();
    this.#bar.addEventListener("click", (event) => this.#clicked(event));
    one("#new-round").addEventListener("click", () => this.#emit("again", "new_round"));
    one("#rematch").addEventListener("click", () => this.#emit("again", "rematch"));
  }

  get isOn() {
    return !this.#bar.hidden && this.#buttons[0].getAttribute("aria-disabled") === "false";
  }

  get #buttons() {
    return [...this.#bar.querySelectorAll("button")];
  }

  /** @param {"hidden" | "off" | "on"} mode */
  set mode(mode) {
    this.#bar.hidden = mode === "hidden";
    for (const button of this.#buttons) button.setAttribute("aria-disabled", String(mode !== "on"));
  }

  focus() {
    this.#buttons[0].focus();
  }

  hideResult() {
    this.#result.hidden = true;
  }

  /**
   * @param {object} told
   * @param {VerdictName | null} told.verdict
   * @param {boolean | null} told.counts
   * @param {string[]} told.reasons
   * @param {[Told, Told]} told.names
   * @returns {string} the same in a sentence
   */
  show({ verdict, counts, reasons, names }) {
    this.mode = "hidden";
    const [a, b] = names;
    this.#title.textContent = verdict ? `Your vote: ${WORDS[verdict]}` : "Shown without a vote";
    one('[data-part="two"]', this.#result).replaceChildren(...described("A", a), ...described("B", b));
    one('[data-part="note"]', this.#result).textContent = noteOf(verdict, counts, reasons);
    this.#result.hidden = false;
    return `${this.#title.textContent}. A is ${a.name}, B is ${b.name}.`;
  }

  focusResult() {
    this.#title.focus();
  }

  /**
   * Keys count where the focus is on what they do: a vote cannot be taken back. Source: WCAG 2.1.4.
   * @param {KeyboardEvent} event
   * @returns {boolean} whether it meant something here
   */
  key({ key, repeat }) {
    if (repeat) return false;
    const name = key.length === 1 ? key.toLowerCase() : key;
    const focused = document.activeElement;
    if (this.isOn && this.#bar.contains(focused) && name in VERDICT_OF_KEY) this.#emit("vote", VERDICT_OF_KEY[name]);
    else if (!this.#result.hidden && this.#result.contains(focused) && name in AGAIN_OF_KEY) this.#emit("again", AGAIN_OF_KEY[name]);
    else return false;
    return true;
  }

  /** @param {Event} event */
  #clicked(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button || !this.isOn) return;
    if (button === this.#reveal) this.#emit("reveal");
    else this.#emit("vote", button.dataset.verdict);
  }

  /** @param {string} type @param {string} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {VerdictName | null} verdict @param {boolean | null} counts @param {string[]} reasons */
function noteOf(verdict, counts, reasons) {
  if (!verdict) return "There can be no vote on this battle any more. You may chat on with both.";
  const and = "You may chat on with both; that is not judged any more.";
  return counts ? `Thank you. ${and}` : `This vote does not count: ${reasons.join(" ")} ${and}`;
}

/** @param {string} letter @param {Told} told */
function described(letter, { name, model, organisation, licence, rank, rating, board_url }) {
  const facts = [model === name ? "" : model, organisation, licence].filter(Boolean).join(" · ");
  const pair = make("div");
  pair.append(make("dt", { text: `${letter}: ${name}` }), make("dd", { text: facts }));
  if (rank !== null && rating !== null) {
    const board = /** @type {HTMLAnchorElement} */ (make("a", { text: `Rank ${rank}, rating ${Math.round(rating)}` }));
    board.href = board_url;
    pair.append(make("dd", {}, board));
  }
  return [pair];
}
