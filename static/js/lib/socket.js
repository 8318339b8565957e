/**
 * One WebSocket that comes back by itself. It knows nothing of chats: it carries JSON frames.
 *
 *   idle -> connecting -> open -> waiting -> connecting -> …        any -> closed
 *
 * Events: `state` (detail: the new state) and `frame` (detail: the parsed frame).
 */

/** @typedef {"idle"|"connecting"|"open"|"waiting"|"closed"} SocketState */

/** @type {Readonly<Record<SocketState, readonly SocketState[]>>} */
const NEXT = Object.freeze({
  idle: ["connecting", "closed"],
  connecting: ["open", "waiting", "closed"],
  open: ["waiting", "closed"],
  waiting: ["connecting", "closed"],
  closed: [],
});

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const STABLE_AFTER_MS = 5_000;

/**
 * Exponential back-off with jitter, so that after a restart of the site its pages do not all come back at once.
 * @param {number} failures in a row, from 0
 * @param {number} random in [0, 1)
 * @returns {number} milliseconds
 */
export function reconnectDelay(failures, random) {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10));
  return ceiling * (0.5 + 0.5 * random);
}

export class ChatSocket extends EventTarget {
  /** @type {SocketState} */
  #state = "idle";
  /** @type {WebSocket | null} */
  #socket = null;
  #failures = 0;
  #openedAt = 0;
  #timer = 0;

  /** @param {string} path such as /ws/chat */
  constructor(path) {
    super();
    const url = new URL(path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.url = url.href;
    window.addEventListener("online", () => this.#retryNow());
    window.addEventListener("offline", () => this.#lose());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
    window.addEventListener("pageshow", (event) => event.persisted && this.#retryNow());
  }

  get state() {
    return this.#state;
  }

  connect() {
    this.#move("connecting");
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#current(socket) && this.#opened());
    socket.addEventListener("message", (event) => this.#current(socket) && this.#received(event.data));
    socket.addEventListener("close", () => this.#current(socket) && this.#lose());
  }

  /**
   * @param {object} frame
   * @returns {boolean} whether it went out; a frame is never kept here
   */
  send(frame) {
    if (this.#state !== "open") return false;
    this.#socket?.send(JSON.stringify(frame));
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    this.#move("closed");
    this.#socket?.close();
    this.#socket = null;
  }

  /** @param {WebSocket} socket */
  #current(socket) {
    return socket === this.#socket;
  }

  #opened() {
    this.#openedAt = performance.now();
    this.#move("open");
  }

  /** @param {string} data */
  #received(data) {
    this.dispatchEvent(new CustomEvent("frame", { detail: JSON.parse(data) }));
  }

  #lose() {
    if (this.#state !== "open" && this.#state !== "connecting") return;
    const wasStable = this.#state === "open" && performance.now() - this.#openedAt > STABLE_AFTER_MS;
    this.#failures = wasStable ? 0 : this.#failures + 1;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#timer = setTimeout(() => this.connect(), reconnectDelay(this.#failures, Math.random()));
    this.#move("waiting");
  }

  #retryNow() {
    if (this.#state !== "waiting") return;
    clearTimeout(this.#timer);
    this.connect();
  }

  /** @param {SocketState} state */
  #move(state) {
    if (!NEXT[this.#state].includes(state)) throw new Error(`socket: ${this.#state} cannot become ${state}`);
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
