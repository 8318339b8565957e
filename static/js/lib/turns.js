/**
 * Takes a message to the site and brings its answer onto the page. The states live in Outbox (the request), Answer
 * (the answer) and Composer (what a person can do); this is where they meet.
 *
 * Events: `conversation` (detail: {id, title, url}) when a turn was stored, `ended` when an answer ended, `changed`
 * (detail: the hint) when a chat changed elsewhere, `behind` when the open one shows other messages at the site.
 */

import { Asked } from "./asked.js";
import { Delivery } from "./delivery.js";
import { Follower } from "./follower.js";
import { LiveAnswers } from "./live.js";
import { clearNotice, showError } from "./notice.js";
import { OneAtATime } from "./one_at_a_time.js";
import { isSaid } from "./outbox.js";

/** @typedef {import("./protocol.js").AcceptedFrame} AcceptedFrame */
/** @typedef {import("./outbox.js").Request} Request */

export class Turns extends OneAtATime {
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
   * @param {() => string[]} parts.beside names of the models that answer side by side; fewer than two: one answers
   * @param {() => Record<string, string> | null} parts.settings of a chat that begins
   * @param {string | null} parts.conversation
   */
  constructor(parts) {
    super();
    Object.assign(this, parts);
    const { socket, outbox, composer, notice, thread, reader } = parts;
    this.asked = new Asked(parts.model);
    this.live = new LiveAnswers({ thread, socket, problem: (words) => this.problem(words) });
    this.follower = new Follower({ thread, reader, ended: () => this.#ended() });
    const again = (/** @type {Request} */ request) => this.#again(request);
    const giveBack = (/** @type {Request} */ request) => this.#giveBack(request);
    this.delivery = new Delivery({ outbox, notice, again, giveBack });
    socket.addEventListener("frame", (event) => this.#receive(/** @type {CustomEvent} */ (event).detail));
    socket.addEventListener("state", () => socket.state === "open" && (this.live.attach(), this.look()));
    composer.addEventListener("submit", (event) => this.send(/** @type {CustomEvent} */ (event).detail));
    composer.addEventListener("stop", () => this.#stop());
    composer.addEventListener("problem", (event) => this.problem(/** @type {CustomEvent} */ (event).detail));
    if (this.live.areThere) composer.mode = "answering";
  }

  /** @param {string} text */
  send(text) {
    const { conversation } = this;
    const leaf = (conversation && this.thread.leaf) || null;
    this.thread.addPending(text);
    this.composer.hold();
    this.scroll.pin();
    const { columns } = this.thread;
    const models = columns.length ? columns.map(({ model }) => model) : this.beside();
    const said = { conversation, text, settings: this.settings(), leaf };
    if (models.length < 2) return this.#put({ ...said, type: "turn.send", model: this.model() });
    const leaves = columns.length ? columns.map((column) => column.leaf) : null;
    this.#put({ ...said, type: "turn.beside", models, leaves });
  }

  /** @param {string} message that is replaced @param {string} text */
  edit(message, text) {
    if (this.composer.mode !== "ready") this.editor.reopen();
    const { conversation } = this;
    this.whenQuiet(() => this.#put({ type: "turn.edit", conversation, message, model: this.model(), text }));
  }

  /** @param {string | null} message the answer; nothing: the last one @param {string | null} [model] nothing: its own */
  regenerate(message, model = this.model()) {
    const { conversation } = this;
    if (conversation) this.whenFree(() => this.#put({ type: "turn.regenerate", conversation, model: model || null, message }));
  }

  /** Answer the last question again, which failed. */
  tryAgain() {
    this.regenerate(this.thread.leaf || null, this.asked.again);
  }

  /** Ask for the rest of the last answer. */
  goOn() {
    const message = this.thread.leaf || null;
    this.whenFree(() => this.#put({ type: "turn.continue", conversation: this.conversation, message }));
  }

  /** The thread was replaced: what runs in it is followed. */
  threadReplaced() {
    this.composer.mode = this.live.areThere ? "answering" : "ready";
    this.live.attach();
  }

  /** Ask how the open chat stands: hints may have been lost. */
  look() {
    if (this.conversation) this.socket.send({ type: "conversation.look", conversation: this.conversation });
  }

  /** @param {any} request without its mark */
  #put(request) {
    clearNotice(this.notice);
    this.asked.note(request);
    this.composer.mode = "sending";
    this.outbox.put({ ...request, ref: this.outbox.nextRef() });
  }

  #stop() {
    if (this.live.stopAll()) this.composer.mode = "stopping";
  }

  /** @param {any} frame */
  #receive(frame) {
    switch (frame.type) {
      case "turn.accepted":
      case "turn.accepted_beside":
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

  /** @param {AcceptedFrame | import("./protocol.js").BesideFrame} frame */
  #accepted(frame) {
    const request = this.outbox.take(frame.ref);
    if (!request) return;
    clearNotice(this.notice);
    if (request.type === "turn.edit") this.editor.close();
    if (frame.type === "turn.accepted") this.thread.accept(frame);
    this.reader.restart("");
    this.composer.mode = "answering";
    this.conversation = frame.conversation.id;
    if (isSaid(request)) this.composer.moveDraft(frame.conversation.id);
    this.dispatchEvent(new CustomEvent("conversation", { detail: frame.conversation }));
    // The site draws the columns.
    if (frame.type === "turn.accepted_beside") this.dispatchEvent(new CustomEvent("behind"));
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
    if (!isSaid(request)) return;
    this.thread.dropPending();
    this.composer.giveBack();
    this.composer.focus();
  }

  /** @param {Request} request */
  #again(request) {
    if (isSaid(request)) this.composer.submit();
    else if (request.type === "turn.edit" && this.editor.isOpen) this.editor.submit();
    else this.whenFree(() => this.#put({ ...request, ...("model" in request ? { model: this.asked.again } : {}) }));
  }

  /** @param {{conversation: string, title: string, leaf: string | null, columns?: string[]}} hint */
  #changed(hint) {
    this.dispatchEvent(new CustomEvent("changed", { detail: hint }));
    const isOpen = hint.conversation === this.conversation && hint.leaf;
    const { leaf, columns } = this.thread;
    const shown = columns.map((column) => column.leaf);
    const { columns: there = shown } = hint; // a process of an older version does not say
    if (isOpen && (hint.leaf !== leaf || there.join() !== shown.join())) this.dispatchEvent(new CustomEvent("behind"));
  }

  #ended() {
    if (this.live.areThere) return;
    this.composer.mode = "ready";
    this.dispatchEvent(new CustomEvent("ended"));
  }

  /** A frame of ours was not accepted; while an answer runs that means it could not be attached to or stopped. */
  #error(/** @type {import("./explain.js").SiteError} */ error) {
    if (this.live.areThere) this.composer.mode = "answering";
    showError(this.notice, error);
  }
}
