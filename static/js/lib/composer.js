/**
 * The message box: keys, growth, count, draft, and which of Send and Stop is there.
 *
 *   ready -> sending -> answering -> stopping -> ready
 *
 * Events: `submit` (detail: the text), `stop`, `problem` (detail: words), `last` (the last message is wanted back),
 * `changed` (the text may be another).
 */

import { one } from "./dom.js";
import { lengthCount, lengthProblem, pasteProblem } from "./limits.js";
import { recall, remember } from "./storage.js";
import { apart } from "./typed.js";

/** @typedef {"ready"|"sending"|"answering"|"stopping"} ComposerMode */

const DRAFT_DELAY_MS = 300;

export class Composer extends EventTarget {
  /** @type {ComposerMode} */
  #mode = "ready";
  #draftTimer = 0;
  #draftKey = "";
  #held = ""; // sent, but not confirmed: still a draft
  /** @type {string[]} of the images, after what is written: nobody wants to read them */
  #marks = [];
  #form = /** @type {HTMLFormElement} */ (one("#composer"));
  #text = /** @type {HTMLTextAreaElement} */ (one("#composer-text"));
  #count = /** @type {HTMLElement} */ (one("#composer-count"));
  #send = /** @type {HTMLButtonElement} */ (one("#send"));
  #stop = /** @type {HTMLButtonElement} */ (one("#stop"));

  /** @param {number} maxChars */
  constructor(maxChars) {
    super();
    this.maxChars = maxChars;
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.#stop.addEventListener("click", () => this.stop());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => (this.#planDraft(), this.#changed()));
    this.#text.addEventListener("paste", (event) => this.#paste(event));
    window.addEventListener("pagehide", () => this.#saveDraft());
    this.#changed();
  }

  get text() {
    if (!this.#marks.length) return this.#text.value;
    return [this.#text.value.trimEnd(), ...this.#marks].filter(Boolean).join("\n\n");
  }

  /** The whole message, marks of images and all. */
  set text(value) {
    const { written, marks } = apart(value);
    this.#marks = marks;
    if (this.#text.value !== written) this.#text.value = written;
    this.#changed();
  }

  get mode() {
    return this.#mode;
  }

  set mode(mode) {
    const stopHadFocus = document.activeElement === this.#stop;
    this.#mode = mode;
    const isBusy = mode === "answering" || mode === "stopping";
    this.#stop.hidden = !isBusy;
    this.#send.hidden = isBusy;
    this.#stop.setAttribute("aria-disabled", String(mode === "stopping"));
    this.#stop.setAttribute("aria-label", mode === "stopping" ? "Stopping the answer" : "Stop the answer");
    if (stopHadFocus && !isBusy) this.focus();
    this.#changed();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  submit() {
    const text = this.text;
    if (this.#mode !== "ready" || !text.trim()) return;
    const problem = lengthProblem(text, this.maxChars);
    if (problem) this.#emit("problem", problem);
    else this.#emit("submit", text);
  }

  stop() {
    if (this.#mode === "answering") this.#emit("stop");
  }

  /** Keep what is typed here under this name from now on. @param {string} conversation empty for a new chat */
  openDraft(conversation) {
    this.#draftKey = this.#keyOf(conversation);
    if (!this.text) this.text = recall(this.#draftKey);
  }

  /** The text was changed by something else than a hand. */
  keepDraft() {
    this.#planDraft();
  }

  /** Empty the box for the next message; until `moveDraft` or `giveBack` a reload would bring the text back. */
  hold() {
    this.#held = this.text;
    this.text = "";
    this.#planDraft();
  }

  /** The held text was not sent: put it before what was typed since. */
  giveBack() {
    const texts = [this.#held, this.text];
    this.#held = "";
    this.text = texts.filter(Boolean).join("\n\n");
    this.#planDraft();
  }

  /** The held text went through: what is in the box now belongs to `conversation`. @param {string} conversation */
  moveDraft(conversation) {
    this.#held = "";
    remember(this.#draftKey, "");
    this.#draftKey = this.#keyOf(conversation);
    this.#planDraft();
    this.#saveDraft();
  }

  /** A browser may be shared, so a draft belongs to a person too. @param {string} conversation */
  #keyOf(conversation) {
    return `draft:${this.#form.dataset.owner}:${conversation || "new"}`;
  }

  /** Only what changed here is saved: another tab may have a draft of the same chat. */
  #planDraft() {
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#saveDraft(), DRAFT_DELAY_MS);
  }

  #saveDraft() {
    if (!this.#draftTimer) return;
    clearTimeout(this.#draftTimer);
    this.#draftTimer = 0;
    const text = [this.#held, this.text].filter(Boolean).join("\n\n");
    if (this.#draftKey && text.length <= 2 * this.maxChars) remember(this.#draftKey, text);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "ArrowUp" && !this.text && !event.isComposing) {
      event.preventDefault();
      this.#emit("last");
    }
    // 229: Safari ends a composition before the keydown that confirmed it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.submit();
  }

  /** A text that can never be sent is not let in: laying out megabytes would freeze the page. @param {ClipboardEvent} event */
  #paste(event) {
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    if (pasted.length <= 2 * this.maxChars) return;
    event.preventDefault();
    this.#emit("problem", pasteProblem(pasted.length, this.maxChars));
  }

  #changed() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    const count = lengthCount(this.text, this.maxChars);
    this.#count.hidden = !count;
    this.#count.textContent = count?.label ?? "";
    this.#count.classList.toggle("is-over", Boolean(count?.isOver));
    this.#text.setAttribute("aria-invalid", String(Boolean(count?.isOver)));
    const canSend = this.#mode === "ready" && this.text.trim() !== "" && !count?.isOver;
    this.#send.setAttribute("aria-disabled", String(!canSend));
    this.#emit("changed");
  }

  /** @param {string} type @param {string} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
