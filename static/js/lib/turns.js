/**
 * Takes a message to the site and brings its answer onto the page. The states live in Outbox (the request), Answer
 * (the answer) and Composer (what a person can do); this is where they meet.
 *
 * Events: `conversation` (detail: {id, title, url}) when a turn was stored, `ended` when an answer ended.
 */

import { clearNotice, showError, showNotice } from "./notice.js";

/** @typedef {import("./protocol.js").AcceptedFrame} AcceptedFrame */

export class Turns extends EventTarget {
  /**
   * @param {object} parts
   * @param {import("./socket.js").ChatSocket} parts.socket
   * @param {import("./outbox.js").Outbox} parts.outbox
   * @param {import("./thread.js").Thread} parts.thread
   * @param {import("./composer.js").Composer} parts.composer
   * @param {import("./scroll.js").StickyScroll} parts.scroll
   * @param {import("./reader.js").SentenceReader} parts.reader
   * @param {HTMLElement} parts.notice
   * @param {() => string} parts.model name of the chosen model
   * @param {string | null} parts.conversation
   */
  constructor(parts) {
    super();
    Object.assign(this, parts);
    const { socket, outbox, composer } = parts;
    socket.addEventListener("frame", (event) => this.#receive(/** @type {CustomEvent} */ (event).detail));
    socket.addEventListener("state", () => socket.state === "open" && this.#attach());
    outbox.addEventListener("kept", (event) => this.#sayKept(/** @type {CustomEvent} */ (event).detail));
    outbox.addEventListener("sent", () => clearNotice(this.notice));
    outbox.addEventListener("uncertain", (event) => this.#uncertain(/** @type {CustomEvent} */ (event).detail));
    composer.addEventListener("submit", (event) => this.send(/** @type {CustomEvent} */ (event).detail));
    composer.addEventListener("stop", () => this.#stop());
    composer.addEventListener("problem", (event) => this.#problem(/** @type {CustomEvent} */ (event).detail));
    if (this.#live()) composer.mode = "answering";
  }

  #live() {
    return this.thread.last?.isLive ? this.thread.last : null;
  }

  /** @param {string} text */
  send(text) {
    clearNotice(this.notice);
    this.thread.addPending(text);
    this.composer.hold();
    this.composer.mode = "sending";
    this.scroll.pin();
    const { conversation } = this;
    this.outbox.put({ type: "turn.send", ref: this.outbox.nextRef(), conversation, model: this.model(), text });
  }

  regenerate() {
    if (this.composer.mode !== "ready" || !this.conversation) return;
    clearNotice(this.notice);
    this.composer.mode = "sending";
    const { conversation } = this;
    this.outbox.put({ type: "turn.regenerate", ref: this.outbox.nextRef(), conversation, model: this.model() || null });
  }

  #stop() {
    const answer = this.#live();
    if (!answer) return;
    const wentOut = this.socket.send({ type: "turn.stop", generation: answer.generation });
    if (wentOut) this.composer.mode = "stopping";
    else this.#problem("There is no connection just now, so the answer goes on. Stop it when the connection is back.");
  }

  #attach() {
    const answer = this.#live();
    if (answer) this.socket.send({ type: "generation.attach", generation: answer.generation });
  }

  /** @param {any} frame */
  #receive(frame) {
    const answer = this.thread.last?.generation === frame.generation ? this.thread.last : null;
    switch (frame.type) {
      case "turn.accepted":
        return this.#accepted(frame);
      case "turn.refused":
        return this.#refused(frame);
      case "generation.snapshot":
        answer?.snapshot(frame);
        return answer && this.reader.restart(answer.tail);
      case "generation.queued":
        return answer?.queued(frame);
      case "generation.delta":
        answer?.delta(frame.text);
        return answer && this.reader.tail(answer.tail);
      case "generation.blocks":
        return answer && this.reader.blocks(answer.blocks(frame), answer.tail);
      case "generation.end":
        return answer && this.#ended(answer, frame);
      case "conversation.changed":
        return this.dispatchEvent(new CustomEvent("changed", { detail: frame }));
      case "error":
        return this.#error(frame.error);
    }
  }

  /** @param {AcceptedFrame} frame */
  #accepted(frame) {
    const request = this.outbox.take(frame.ref);
    if (!request) return;
    clearNotice(this.notice);
    if (frame.user_message) this.thread.confirmPending(frame.user_message);
    const { id: message, model } = frame.assistant_message;
    this.thread.addAnswer({ message, model, generation: frame.generation }, request.type === "turn.regenerate");
    this.reader.restart("");
    this.composer.mode = "answering";
    this.conversation = frame.conversation.id;
    this.composer.moveDraft(frame.conversation.id);
    this.dispatchEvent(new CustomEvent("conversation", { detail: frame.conversation }));
  }

  /** @param {import("./protocol.js").RefusedFrame} frame */
  #refused({ ref, error }) {
    const request = this.outbox.take(ref);
    if (!request) return;
    this.#giveBack(request);
    showError(this.notice, error, { again: () => this.#again(request) });
  }

  /** @param {import("./outbox.js").Request} request */
  #uncertain(request) {
    this.#giveBack(request);
    showNotice(this.notice, "The connection broke before the site could confirm this. It may have arrived: reload to see.", {
      actions: [
        { label: "Reload", run: () => location.reload() },
        { label: "Send again", run: () => this.#again(request) },
      ],
    });
  }

  /** @param {import("./outbox.js").Request} kept */
  #sayKept(kept) {
    const withdraw = () => {
      const request = this.outbox.withdraw();
      clearNotice(this.notice);
      if (request) this.#giveBack(request);
    };
    const what = kept.type === "turn.send" ? "Your message" : "Your wish for another answer";
    showNotice(this.notice, `You are not connected. ${what} is kept here and goes out when the connection is back.`, {
      actions: [{ label: "Take it back", run: withdraw }],
    });
  }

  /** The text of a request that came to nothing returns to the box. @param {import("./outbox.js").Request} request */
  #giveBack(request) {
    this.composer.mode = "ready";
    if (request.type !== "turn.send") return;
    this.thread.dropPending();
    this.composer.giveBack();
    this.composer.focus();
  }

  /** @param {import("./outbox.js").Request} request */
  #again(request) {
    if (request.type === "turn.send") this.composer.submit();
    else this.regenerate();
  }

  /** @param {import("./answer.js").Answer} answer @param {import("./protocol.js").EndFrame} frame */
  #ended(answer, frame) {
    answer.end(frame);
    this.composer.mode = "ready";
    this.reader.say({ complete: "The answer is complete.", stopped: "The answer was stopped.", failed: "The answer failed." }[frame.state]);
    this.dispatchEvent(new CustomEvent("ended"));
  }

  /** A frame of ours was not accepted; while an answer runs that means it could not be attached to or stopped. */
  #error(/** @type {import("./explain.js").SiteError} */ error) {
    if (this.#live()) this.composer.mode = "answering";
    showError(this.notice, error);
  }

  /** @param {string} text */
  #problem(text) {
    showNotice(this.notice, text, { tone: "problem" });
  }
}
