/** Requests of a battle on their way: what is said while one is kept, and when nobody can know whether it arrived. */

import { clearNotice, showNotice } from "../notice.js";

/** @typedef {{type: string, ref: string, text?: string, follows?: string | null}} BattleRequest */

/**
 * What a battle on a page is made of. `choice`: the two that were chosen by name.
 * @typedef {object} BattleParts
 * @property {import("../socket.js").ChatSocket} socket
 * @property {import("../outbox.js").Outbox} outbox
 * @property {import("./rounds.js").Rounds} rounds
 * @property {import("./votes.js").Votes} votes
 * @property {import("../composer.js").Composer} composer
 * @property {import("../scroll.js").StickyScroll} scroll
 * @property {HTMLElement} notice
 * @property {string} arena
 * @property {boolean} isNamed whether the two are chosen by name here
 * @property {() => {ids: string[], names: [string, string]} | null} choice
 */

export class Outgoing {
  /**
   * @param {import("../outbox.js").Outbox} outbox
   * @param {HTMLElement} notice
   * @param {(request: BattleRequest) => void} giveBack undoes on the page what came to nothing
   */
  constructor(outbox, notice, giveBack) {
    Object.assign(this, { outbox, notice, giveBack });
    outbox.addEventListener("kept", (event) => this.#sayKept(/** @type {CustomEvent} */ (event).detail));
    outbox.addEventListener("sent", () => clearNotice(notice));
    outbox.addEventListener("uncertain", (event) => this.#uncertain(/** @type {CustomEvent} */ (event).detail));
  }

  /** @param {object} request */
  put(request) {
    this.outbox.put({ ...request, ref: this.outbox.nextRef() });
  }

  /** @param {string} ref @returns {BattleRequest | null} */
  take(ref) {
    return this.outbox.take(ref);
  }

  /** @param {string} text */
  problem(text) {
    showNotice(this.notice, text, { tone: "problem" });
  }

  /** @param {BattleRequest} request */
  #sayKept(request) {
    const withdraw = () => {
      if (!this.outbox.withdraw()) return;
      clearNotice(this.notice);
      this.giveBack(request);
    };
    showNotice(this.notice, "You are not connected. This goes out when the connection is back.", {
      actions: [{ label: "Take it back", run: withdraw }],
    });
  }

  /** @param {BattleRequest} request */
  #uncertain(request) {
    this.giveBack(request);
    showNotice(this.notice, "The connection broke before the site could confirm this. It may have arrived: reload to see.", {
      actions: [{ label: "Reload", run: () => location.reload() }],
    });
  }
}
