/**
 * Brings the frames of answers onto the page. A screen reader hears the last one while it is written; of several side by
 * side it hears which has ended, because nobody could follow them all.
 */

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
    const { thread } = this.parts;
    const answer = thread.answerOf(frame.generation);
    const reader = thread.columns.length ? null : this.parts.reader;
    switch (answer && frame.type) {
      case "generation.snapshot":
        answer.snapshot(frame);
        return reader?.restart(answer.tail);
      case "generation.queued":
        return answer.queued(frame);
      case "generation.delta":
        answer.delta(frame.text);
        return reader?.tail(answer.tail);
      case "generation.blocks": {
        const words = answer.blocks(frame);
        return reader?.blocks(words, answer.tail);
      }
      case "generation.end":
        return this.#ended(answer, frame);
    }
  }

  /** @param {import("./answer.js").Answer} answer @param {import("./protocol.js").EndFrame} frame */
  #ended(answer, frame) {
    answer.end(frame);
    const { reader, thread } = this.parts;
    reader.say(thread.columns.length ? `${answer.model}: ${ENDS[frame.state]}` : ENDS[frame.state]);
    this.parts.ended();
  }
}
