/**
 * Takes a message to the site and brings its answer onto the page. The states live in Outbox (the request), Answer
 * (the answer) and Composer (what a person can do); this is where they meet.
 *
 * Events: `conversation` (detail: {id, title, url}) when a turn was stored, `ended` when an answer ended, `changed`
 * (detail: the hint) when a chat changed elsewhere, `behind` when that was the open one and it shows other messages.
 */

import { Delivery } from "./delivery.js";
import { Follower } from "./follower.js";
import { clearNotice, showError } from "./notice.js";
import { OneAtATime } from "./one_at_a_time.js";

/** @typedef {import("./protocol.js").AcceptedFrame} AcceptedFrame */
/** @typedef {import("./outbox.js").Request} Request */

export class Turns extends OneAtATime {
  /** The model that was asked last, and what the picker said then. */
  #chosen = { model: "", picked: "" };

  /**
   * @param {object} parts
   * @param {import("./socket.js").ChatSocket} parts.socket
   * @param {import("./outbox.js").Outbox} parts.outbox
   * @param {import("./thread.js").Thread} parts.thread
   * @param {import("./composer.js").Composer} parts.composer
   * @param {import("./scroll.js").StickyScroll} parts.scroll
   * @param {import("./reader.js").SentenceReader} parts.reader
   * @param {import("./editor.js").Editor} parts.editor
   * @param {HTMLElement} parts.notice
   * @param {() => string} parts.model name of the chosen model
   * @param {() => Record<string, string> | null} parts.settings of a chat that begins
   * @param {string | null} parts.conversation
   */
  constructor(parts) {
    super();
    Object.assign(this, parts);
    const { socket, outbox, composer, notice, thread, reader } = parts;
    this.follower = new Follower({ thread, reader, ended: () => this.#ended() });
    const again = (/** @type {Request} */ request) => this.#again(request);
    const giveBack = (/** @type {Request} */ request) => this.#giveBack(request);
    this.delivery = new Delivery({ outbox, notice, again, giveBack });
    socket.addEventListener("frame", (event) => this.#receive(/** @type {CustomEvent} */ (event).detail));
    socket.addEventListener("state", () => socket.state === "open" && (this.#attach(), this.look()));
    composer.addEventListener("submit", (event) => this.send(/** @type {CustomEvent} */ (event).detail));
    composer.addEventListener("stop", () => this.#stop());
    composer.addEventListener("problem", (event) => this.problem(/** @type {CustomEvent} */ (event).detail));
    if (this.#live()) composer.mode = "answering";
  }

  #live() {
    return this.thread.last?.isLive ? this.thread.last : null;
  }

  /** @param {string} text */
  send(text) {
    const { conversation } = this;
    const leaf = (conversation && this.thread.leaf) || null;
    this.thread.addPending(text);
    this.composer.hold();
    this.scroll.pin();
    this.#put({ type: "turn.send", conversation, model: this.model(), text, settings: this.settings(), leaf });
  }

  /** @param {string} message that is replaced @param {string} text */
  edit(message, text) {
    if (this.composer.mode !== "ready") this.editor.reopen();
    const { conversation } = this;
    this.whenQuiet(() => this.#put({ type: "turn.edit", conversation, message, model: this.model(), text }));
  }

  /** @param {string | null} [message] the answer; without it the last one @param {string} [model] */
  regenerate(message = null, model = this.model()) {
    const { conversation } = this;
    this.#chosen = { model, picked: this.model() };
    if (conversation) this.whenFree(() => this.#put({ type: "turn.regenerate", conversation, model: model || null, message }));
  }

  /** Answer the last question again, which failed. */
  tryAgain() {
    this.regenerate(null, this.#modelAgain());
  }

  /** The one that was asked last, until another is picked since. */
  #modelAgain() {
    const { model, picked } = this.#chosen;
    return picked === this.model() ? model || picked : this.model();
  }

  /** Ask for the rest of the last answer. */
  goOn() {
    const message = this.thread.leaf || null;
    this.whenFree(() => this.#put({ type: "turn.continue", conversation: this.conversation, message }));
  }

  /** The thread was replaced: what runs in it is followed. */
  threadReplaced() {
    this.composer.mode = this.#live() ? "answering" : "ready";
    this.#attach();
  }

  /** Ask how the open chat stands: hints may have been lost. */
  look() {
    if (this.conversation) this.socket.send({ type: "conversation.look", conversation: this.conversation });
  }

  /** @param {any} request without its mark */
  #put(request) {
    clearNotice(this.notice);
    this.composer.mode = "sending";
    this.outbox.put({ ...request, ref: this.outbox.nextRef() });
  }

  #stop() {
    const answer = this.#live();
    if (!answer) return;
    const wentOut = this.socket.send({ type: "turn.stop", generation: answer.generation });
    if (wentOut) this.composer.mode = "stopping";
    else this.problem("There is no connection just now, so the answer goes on. Stop it when the connection is back.");
  }

  #attach() {
    const answer = this.#live();
    if (answer) this.socket.send({ type: "generation.attach", generation: answer.generation });
  }

  /** @param {any} frame */
  #receive(frame) {
    switch (frame.type) {
      case "turn.accepted":
        return this.#accepted(frame);
      case "turn.refused":
        return this.#refused(frame);
      case "conversation.changed":
        return this.#changed(frame);
      case "error":
        return this.#error(frame.error);
      default:
        return this.follower.receive(frame);
    }
  }

  /** @param {AcceptedFrame} frame */
  #accepted(frame) {
    const request = this.outbox.take(frame.ref);
    if (!request) return;
    clearNotice(this.notice);
    if (request.type === "turn.edit") this.editor.close();
    this.thread.accept(request, frame);
    this.reader.restart("");
    this.composer.mode = "answering";
    this.conversation = frame.conversation.id;
    if (request.type === "turn.send") this.composer.moveDraft(frame.conversation.id);
    this.dispatchEvent(new CustomEvent("conversation", { detail: frame.conversation }));
  }

  /** @param {import("./protocol.js").RefusedFrame} frame */
  #refused({ ref, error }) {
    const request = this.outbox.take(ref);
    if (!request) return;
    this.delivery.refused(request, error);
    if (error.code === "chat.answer_running") this.look(); // another tab asked for that answer
  }

  /** The text of a request that came to nothing returns to its box. @param {Request} request */
  #giveBack(request) {
    this.composer.mode = "ready";
    if (request.type === "turn.edit") this.editor.reopen();
    if (request.type !== "turn.send") return;
    this.thread.dropPending();
    this.composer.giveBack();
    this.composer.focus();
  }

  /** @param {Request} request */
  #again(request) {
    if (request.type === "turn.send") this.composer.submit();
    else if (request.type === "turn.edit" && this.editor.isOpen) this.editor.submit();
    else this.whenFree(() => this.#put({ ...request, ...("model" in request ? { model: this.#modelAgain() } : {}) }));
  }

  /** @param {{conversation: string, title: string, leaf: string | null}} hint */
  #changed(hint) {
    this.dispatchEvent(new CustomEvent("changed", { detail: hint }));
    const isOpen = hint.conversation === this.conversation && hint.leaf;
    if (isOpen && hint.leaf !== this.thread.leaf) this.dispatchEvent(new CustomEvent("behind"));
  }

  #ended() {
    this.composer.mode = "ready";
    this.dispatchEvent(new CustomEvent("ended"));
  }

  /** A frame of ours was not accepted; while an answer runs that means it could not be attached to or stopped. */
  #error(/** @type {import("./explain.js").SiteError} */ error) {
    if (this.#live()) this.composer.mode = "answering";
    showError(this.notice, error);
  }
}
