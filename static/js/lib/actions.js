/** What the buttons under a message do, by one listener for all of them. */

import { openDialog } from "./dialogs.js";
import { one } from "./dom.js";

/**
 * @param {object} parts
 * @param {import("./turns.js").Turns} parts.turns
 * @param {import("./branches.js").Branches} parts.branches
 * @param {import("./editor.js").Editor} parts.editor
 * @param {import("./feedback.js").FeedbackButtons} parts.feedback
 */
export function listenForActions({ turns, branches, editor, feedback }) {
  const dialog = /** @type {HTMLDialogElement} */ (one("#dialog-again"));
  const models = /** @type {HTMLSelectElement} */ (one("#again-model"));
  let wanted = "";

  one("form", dialog).addEventListener("submit", () => turns.regenerate(wanted, models.value));

  one("#messages").addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const column = /** @type {HTMLElement | null | undefined} */ (button?.closest(".column"));
    const chosen = button?.dataset.choose;
    if (chosen) return turns.whenFree(() => (pick(column?.dataset.model ?? ""), branches.show(chosen)));
    const article = /** @type {HTMLElement | null | undefined} */ (button?.closest(".message"));
    if (!button || !article || button.getAttribute("aria-disabled") === "true") return;
    const message = article.dataset.message ?? "";
    const { act, show, step } = button.dataset;
    if (show) return turns.whenFree(() => branches.show(show, /** @type {"previous" | "next"} */ (step)));
    switch (act) {
      case "edit":
        return turns.whenFree(() => editor.open(article));
      case "again":
        return column ? turns.regenerate(message, null) : turns.regenerate(message);
      case "again-with":
        wanted = message;
        offerModels(models);
        return openDialog("dialog-again");
      case "go-on":
        return turns.goOn();
      case "stop":
        return turns.live.stop(article.dataset.generation ?? "");
      case "thumb":
        return feedback.press(article, button);
      case "fork":
        return branches.fork(message);
    }
  });
}

/** The chat goes on with this model. @param {string} model */
function pick(model) {
  const picker = /** @type {HTMLSelectElement} */ (one("#model"));
  if (![...picker.options].some((option) => option.value === model)) return;
  picker.value = model;
  picker.dispatchEvent(new Event("change"));
}

/** The picker's models, with their states, as they are now. @param {HTMLSelectElement} select */
function offerModels(select) {
  const picker = /** @type {HTMLSelectElement} */ (one("#model"));
  select.replaceChildren(...[...picker.options].map((option) => new Option(option.textContent ?? "", option.value)));
  select.value = picker.value;
}
