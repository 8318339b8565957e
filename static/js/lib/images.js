/**
 * Images go to the site when they are attached, and into the message as marks: words for who cannot see them, and an id.
 * So they are kept as a draft and sent like what was typed. The message box shows them above it instead of their marks,
 * each with its words to be written and a button that takes it out again (apps/conversations/image_marks.py).
 */

import { one, piece } from "./dom.js";
import { post } from "./http.js";
import { described, imageAddress, MARK } from "./typed.js";

export class Images {
  #list = /** @type {HTMLElement} */ (one("#composer-images"));
  #shown = "";

  /**
   * @param {object} parts
   * @param {import("./composer.js").Composer} parts.composer
   * @param {number} parts.maxBytes of one image
   * @param {(wanted: boolean) => void} parts.wantSight only models that see may be asked, or all again
   * @param {(words: string) => void} parts.say to a screen reader
   */
  constructor(parts) {
    this.parts = parts;
    parts.composer.addEventListener("changed", () => this.#show());
    this.#show();
  }

  /** @param {File} file @returns {Promise<string>} what is wrong with it, or nothing */
  async add(file) {
    const { composer, maxBytes } = this.parts;
    // It would go all the way, to be refused there, or by what stands before the site in words of its own.
    if (file.size > maxBytes) return `${file.name} has more than ${maxBytes / 2 ** 20} MiB. Attach a smaller image.`;
    const form = new FormData();
    form.append("image", file);
    const token = /** @type {HTMLInputElement} */ (one('[name="csrfmiddlewaretoken"]'));
    form.append(token.name, token.value);
    const { response, problem } = await post(this.#list.dataset.url ?? "", form);
    if (!response) return `${file.name}: ${problem}`;
    const { id } = await response.json();
    const words = wordsOf(file.name.replace(/\.\w+$/, "").slice(0, 200));
    const whole = [composer.text.trimEnd(), `![${words}](image:${id})`].filter(Boolean).join("\n\n");
    if (whole.length > composer.maxChars) return `${file.name} does not fit into this message any more.`;
    composer.text = whole;
    composer.keepDraft();
    return "";
  }

  /** The images of the message, as a strip. What has the focus in it stays there unless the images are others. */
  #show() {
    const marks = [...this.parts.composer.text.matchAll(MARK)];
    const ids = marks.map(([, , id]) => id).join(" ");
    if (ids !== this.#shown) {
      this.#shown = ids;
      this.#list.replaceChildren(...marks.map(([, , id]) => this.#item(id)));
      this.#list.hidden = !marks.length;
      this.parts.wantSight(marks.length > 0);
    }
    marks.forEach(([, words], place) => describe(this.#list.children[place], words));
  }

  /** @param {string} id */
  #item(id) {
    const item = piece("image");
    const image = /** @type {HTMLImageElement} */ (one("img", item));
    const input = /** @type {HTMLInputElement} */ (one("input", item));
    image.src = imageAddress(id);
    input.addEventListener("change", () => this.#replace(id, `![${wordsOf(input.value)}](image:${id})`));
    input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), this.parts.composer.focus()));
    one("button", item).addEventListener("click", () => this.#remove(id));
    return item;
  }

  /** @param {string} id */
  #remove(id) {
    this.#replace(id, "");
    this.parts.say("The image is not in your message any more.");
    this.parts.composer.focus();
  }

  /** @param {string} id @param {string} mark instead of the one that is there */
  #replace(id, mark) {
    const { composer } = this.parts;
    composer.text = composer.text.replaceAll(MARK, (found, _, other) => (other === id ? mark : found)).trimEnd();
    composer.keepDraft();
  }
}

/** With the words of its mark; those that somebody is just writing are let be. @param {Element} item @param {string} words */
function describe(item, words) {
  const input = /** @type {HTMLInputElement} */ (one("input", item));
  /** @type {HTMLImageElement} */ (one("img", item)).alt = described(words);
  if (input.defaultValue !== words) input.value = input.defaultValue = words;
}

/** As a mark may have them. @param {string} text */
function wordsOf(text) {
  return text.replace(/[[\]\s]+/g, " ").trim();
}
