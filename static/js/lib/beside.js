/** Several models side by side: which ones the next message goes to. Once they have answered, the thread knows them. */

import { openDialog } from "./dialogs.js";
import { make, one } from "./dom.js";

const FEWEST = 2;
const MOST = 4;

export class Beside {
  #dialog = /** @type {HTMLDialogElement} */ (one("#dialog-beside"));
  #places = one("#beside-models");
  #problem = one("#dialog-beside .dialog__problem");
  #told = /** @type {HTMLElement} */ (one("#beside-told"));
  /** @type {string[]} */
  #chosen = [];

  /**
   * @param {object} parts
   * @param {import("./thread.js").Thread} parts.thread
   * @param {(words: string) => void} parts.problem
   */
  constructor(parts) {
    this.parts = parts;
    one("#beside-open").addEventListener("click", () => this.open());
    one("form", this.#dialog).addEventListener("submit", (event) => this.#choose(event));
    one('[data-part="one"]', this.#dialog).addEventListener("click", () => this.#take([]));
  }

  /** Names of the models that were chosen, fewer than two for the picker's own. */
  get models() {
    return this.#chosen;
  }

  open() {
    if (this.parts.thread.columns.length) {
      return this.parts.problem("Several models answer here already. Go on with one of them alone before you choose others.");
    }
    this.#problem.textContent = "";
    const options = /** @type {HTMLSelectElement} */ (one("#model")).options;
    this.#places.replaceChildren(...[...options].map((option) => this.#box(option)));
    openDialog("dialog-beside");
  }

  /** The thread shows something else now. */
  show() {
    const { columns } = this.parts.thread;
    if (columns.length) this.#chosen = [];
    const names = columns.length ? columns.map(({ model }) => model) : this.#chosen;
    this.#told.hidden = names.length < FEWEST;
    this.#told.textContent = this.#told.hidden ? "" : `Goes to ${listed(names.map(labelOf))}`;
  }

  /** @param {HTMLOptionElement} option */
  #box(option) {
    const box = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox" }));
    box.value = option.value;
    box.name = "model";
    box.checked = this.#chosen.includes(option.value);
    return make("label", {}, box, document.createTextNode(` ${option.textContent}`));
  }

  /** @param {SubmitEvent | Event} event */
  #choose(event) {
    event.preventDefault();
    const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (this.#places.querySelectorAll("input:checked"));
    if (boxes.length < FEWEST || boxes.length > MOST) {
      this.#problem.textContent = `Choose ${FEWEST} to ${MOST} models.`;
      return;
    }
    this.#take([...boxes].map((box) => box.value));
  }

  /** @param {string[]} names */
  #take(names) {
    this.#chosen = names;
    this.#dialog.close();
    this.show();
  }
}

/** As the picker shows it. @param {string} name */
function labelOf(name) {
  const options = [.../** @type {HTMLSelectElement} */ (one("#model")).options];
  return options.find(({ value }) => value === name)?.dataset.label ?? name;
}

/** @param {string[]} names */
function listed(names) {
  return new Intl.ListFormat("en").format(names);
}
