/** The answers that are being written: followed, and stopped, one or all. */

const NO_CONNECTION = "There is no connection just now, so the answer goes on. Stop it when the connection is back.";

export class LiveAnswers {
  /**
   * @param {object} parts
   * @param {import("./thread.js").Thread} parts.thread
   * @param {import("./socket.js").ChatSocket} parts.socket
   * @param {(words: string) => void} parts.problem
   */
  constructor(parts) {
    this.parts = parts;
  }

  get areThere() {
    return this.parts.thread.live.length > 0;
  }

  /** Follow each from where the site is. */
  attach() {
    for (const { generation } of this.parts.thread.live) this.parts.socket.send({ type: "generation.attach", generation });
  }

  /** @returns {boolean} whether the wish went out for all of them */
  stopAll() {
    return this.areThere && this.parts.thread.live.every(({ generation }) => this.stop(generation));
  }

  /** @param {string} generation @returns {boolean} whether the wish went out */
  stop(generation) {
    const wentOut = this.parts.socket.send({ type: "turn.stop", generation });
    if (!wentOut) this.parts.problem(NO_CONNECTION);
    return wentOut;
  }
}
