/** Brings the frames of one answer onto the page and to a screen reader: that of the last answer shown, no other's. */

const ENDS = Object.freeze({
  complete: "The answer is complete.",
  stopped: "The answer was stopped.",
  failed: "The answer failed.",
});

export class Follower {
  /**
   * @param {object} parts
   * @param {import("./thread.js").Thread} parts.thread
   * @param {import("./reader.js").SentenceReader} parts.reader
   * @param {() => void} parts.ended
   */
  constructor(parts) {
    this.parts = parts;
  }

  /** @param {any} frame a `generation.*` one */
  receive(frame) {
    const { reader, thread } = this.parts;
    const answer = thread.last;
    if (!answer || answer.generation !== frame.generation) return;
    switch (frame.type) {
      case "generation.snapshot":
        answer.snapshot(frame);
        return reader.restart(answer.tail);
      case "generation.queued":
        return answer.queued(frame);
      case "generation.delta":
        answer.delta(frame.text);
        return reader.tail(answer.tail);
      case "generation.blocks":
        return reader.blocks(answer.blocks(frame), answer.tail);
      case "generation.end":
        return this.#ended(answer, frame);
    }
  }

  /** @param {import("./answer.js").Answer} answer @param {import("./protocol.js").EndFrame} frame */
  #ended(answer, frame) {
    answer.end(frame);
    this.parts.reader.say(ENDS[frame.state]);
    this.parts.ended();
  }
}
