/** The prompts that an empty page offers: pressed, one is sent. */

/** @param {import("./composer.js").Composer} composer */
export function listenForPrompts(composer) {
  for (const button of document.querySelectorAll("[data-prompt]")) {
    button.addEventListener("click", () => {
      composer.text = /** @type {HTMLElement} */ (button).dataset.prompt ?? "";
      composer.focus();
      composer.submit();
    });
  }
}
