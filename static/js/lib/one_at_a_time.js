/** What a person may not do just now on a chat's page, because something else is under way, and the words for it. */

import { showNotice } from "./notice.js";

/** Whoever extends it has `composer`, `editor` and `notice`. */
export class OneAtATime extends EventTarget {
  /** Do this if no answer is being written here and no message is changed; else say why not. @param {() => unknown} step */
  async whenFree(step) {
    if (this.editor.isOpen && this.composer.mode === "ready") {
      this.problem("You are changing a message. Send it or cancel that first.");
      this.editor.focus();
      return;
    }
    await this.whenQuiet(step);
  }

  /** @param {() => unknown} step */
  async whenQuiet(step) {
    if (this.composer.mode === "ready") await step();
    else this.problem("An answer is being written. Wait for it, or stop it.");
  }

  /** Whether something is under way here that another thread would take away. */
  get isBusy() {
    return this.composer.mode === "sending" || this.editor.isOpen;
  }

  /** @param {string} text */
  problem(text) {
    showNotice(this.notice, text, { tone: "problem" });
  }
}
