/** The prompts that an empty page offers: pressed, one is sent, with the images of the message. */

import { apart } from "./typed.js";

/** @param {import("./composer.js").Composer} composer */
export function listenForPrompts(composer) {
  for (const button of document.querySelectorAll("[data-prompt]")) {
    button.addEventListener("click", () => {
      const { written } = apart(composer.text);
      const prompt = /** @type {HTMLElement} */ (button).dataset.prompt ?? "";
      composer.text = [composer.text.trimEnd(), prompt].filter(Boolean).join("\n\n");
      composer.keepDraft();
      composer.focus();
      // What somebody wrote stays, and is not sent before they say so.
      if (!written.trim()) composer.submit();
    });
  }
}
