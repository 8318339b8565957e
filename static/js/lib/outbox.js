/**
 * The one request that the site has not answered yet.
 *
 *   empty -> kept (no connection) -> sent -> empty (accepted or refused)
 *                                    sent -> uncertain -> empty  (the connection broke first)
 *
 * A request is sent once. After `uncertain` nobody can know whether it arrived, so a person decides.
 * Events: `kept`, `sent`, `uncertain` (detail: the request).
 */

/** @typedef {{type: "turn.send", ref: string, conversation: string | null, model: string, text: string, settings: Record<string, string> | null, leaf: string | null}} SendRequest */
/** @typedef {{type: "turn.beside", ref: string, conversation: string | null, models: string[], text: string, settings: Record<string, string> | null, leaf: string | null, leaves: string[] | null}} BesideRequest */
/** @typedef {{type: "turn.edit", ref: string, conversation: string, message: string, model: string, text: string}} EditRequest */
/** @typedef {{type: "turn.regenerate", ref: string, conversation: string, model: string | null, message: string | null}} RegenerateRequest */
/** @typedef {{type: "turn.continue", ref: string, conversation: string, message: string | null}} ContinueRequest */
/** @typedef {SendRequest | BesideRequest | EditRequest | RegenerateRequest | ContinueRequest} Request */

export class Outbox extends EventTarget {
  /** @type {Request | null} */
  #request = null;
  #isSent = false;
  #socket;
  #number = 0;

  /** @param {import("./socket.js").ChatSocket} socket */
  constructor(socket) {
    super();
    this.#socket = socket;
    socket.addEventListener("state", () => this.#connectionChanged());
  }

  get isEmpty() {
    return this.#request === null;
  }

  /** A mark that this page has not used before; `crypto.randomUUID` needs a secure origin. */
  nextRef() {
    this.#number += 1;
    return `${performance.timeOrigin.toString(36)}-${this.#number}`;
  }

  /** @param {Request} request */
  put(request) {
    if (this.#request) throw new Error("outbox: one request at a time");
    this.#request = request;
    this.#isSent = false;
    this.#try();
    if (!this.#isSent) this.#emit("kept", request);
  }

  /**
   * @param {string} ref of the site's reply
   * @returns {Request | null} the request it answers, which leaves the box
   */
  take(ref) {
    if (this.#request?.ref !== ref) return null;
    return this.#clear();
  }

  /** Give up a request that has not been sent. @returns {Request | null} */
  withdraw() {
    return this.#isSent ? null : this.#clear();
  }

  #connectionChanged() {
    if (this.#socket.state === "open") this.#try();
    else if (this.#request && this.#isSent) this.#emit("uncertain", /** @type {Request} */ (this.#clear()));
  }

  #try() {
    if (!this.#request || this.#isSent) return;
    this.#isSent = this.#socket.send(this.#request);
    if (this.#isSent) this.#emit("sent", this.#request);
  }

  #clear() {
    const request = this.#request;
    this.#request = null;
    this.#isSent = false;
    return request;
  }

  /** @param {string} type @param {Request} request */
  #emit(type, request) {
    this.dispatchEvent(new CustomEvent(type, { detail: request }));
  }
}

/** Whether it is a message of the message box. @param {Request} request */
export function isSaid(request) {
  return request.type === "turn.send" || request.type === "turn.beside";
}
