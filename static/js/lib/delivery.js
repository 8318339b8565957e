/** What a person is told about a request that has not been answered, and what can be done about it. */

import { clearNotice, showError, showNotice } from "./notice.js";

/** @typedef {import("./outbox.js").Request} Request */

const WHAT = Object.freeze({
  "turn.send": "Your message",
  "turn.beside": "Your message",
  "turn.edit": "Your changed message",
  "turn.regenerate": "Your wish for another answer",
  "turn.continue": "Your wish for the rest of the answer",
});

export class Delivery {
  /**
   * @param {object} parts
   * @param {import("./outbox.js").Outbox} parts.outbox
   * @param {HTMLElement} parts.notice
   * @param {(request: Request) => void} parts.giveBack it came to nothing; its text returns to where it was written
   * @param {(request: Request) => void} parts.again
   */
  constructor(parts) {
    this.parts = parts;
    const { outbox } = parts;
    outbox.addEventListener("kept", (event) => this.#sayKept(/** @type {CustomEvent} */ (event).detail));
    outbox.addEventListener("sent", () => clearNotice(parts.notice));
    outbox.addEventListener("uncertain", (event) => this.#uncertain(/** @type {CustomEvent} */ (event).detail));
  }

  /** @param {Request} request @param {import("./explain.js").SiteError} error */
  refused(request, error) {
    this.parts.giveBack(request);
    showError(this.parts.notice, error, { again: () => this.parts.again(request) });
  }

  /** @param {Request} request */
  #uncertain(request) {
    this.parts.giveBack(request);
    showNotice(this.parts.notice, "The connection broke before the site could confirm this. It may have arrived: reload to see.", {
      actions: [
        { label: "Reload", run: () => location.reload() },
        { label: "Send again", run: () => this.parts.again(request) },
      ],
    });
  }

  /** @param {Request} kept */
  #sayKept(kept) {
    const withdraw = () => {
      const request = this.parts.outbox.withdraw();
      clearNotice(this.parts.notice);
      if (request) this.parts.giveBack(request);
    };
    const words = `You are not connected. ${WHAT[kept.type]} is kept here and goes out when the connection is back.`;
    showNotice(this.parts.notice, words, { actions: [{ label: "Take it back", run: withdraw }] });
  }
}
