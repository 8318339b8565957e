/**
 * The panel in which a chat is set up. The settings of a chat that exists are saved at the site; those of one that does
 * not are checked there, are remembered beside its draft, and go along with its first message.
 */

import { openDialog } from "./dialogs.js";
import { appendServerHtml, one } from "./dom.js";
import { get, post } from "./http.js";
import { recall, remember } from "./storage.js";

/** @typedef {{id: string, name: string, fields: Record<string, string>}} Preset */

export class SettingsPanel {
  #dialog = /** @type {HTMLDialogElement} */ (one("#dialog-settings"));
  #form = /** @type {HTMLFormElement} */ (one("#dialog-settings form"));
  #place = one("#settings-fields");
  #problem = one("#dialog-settings .dialog__problem");
  #button = /** @type {HTMLElement} */ (one("#settings-open"));
  /** @type {Preset[]} */
  #presets = [];
  /** @type {Record<string, string> | null} */
  #waiting = null;
  #shownFor = "";
  // A browser may be shared, so they belong to a person too.
  #key = `settings:${one("#composer").dataset.owner}:new`;

  /**
   * @param {object} parts
   * @param {boolean} parts.isNew whether the page shows a chat that does not exist yet
   * @param {() => string | null} parts.conversation
   * @param {(words: string) => void} parts.problem when the panel cannot be shown
   */
  constructor(parts) {
    this.parts = parts;
    this.#button.addEventListener("click", () => this.open());
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#save()));
    this.#place.addEventListener("change", (event) => this.#chosen(event));
    this.#place.addEventListener("click", (event) => this.#click(event));
    this.#place.addEventListener("keydown", (event) => this.#keyPressed(event));
    const kept = parts.isNew ? recall(this.#key) : "";
    if (kept) this.#wait(JSON.parse(kept));
  }

  /** The chat has its first message, and its settings with it. */
  begun() {
    if (!this.#waiting) return;
    this.#waiting = null;
    this.#shownFor = "";
    remember(this.#key, "");
  }

  /** @param {Record<string, string>} fields */
  #wait(fields) {
    this.#waiting = fields;
    const isSet = Object.values(fields).some(Boolean);
    this.#button.dataset.isSet = String(isSet);
    remember(this.#key, isSet ? JSON.stringify(fields) : "");
  }

  /** What goes along with the first message of a chat. */
  get forNewChat() {
    return this.parts.conversation() ? null : this.#waiting;
  }

  async open() {
    const conversation = this.parts.conversation();
    this.#problem.textContent = "";
    // What was typed for a chat that has no messages yet is nowhere else.
    const isKept = !conversation && this.#shownFor === "new";
    if (!isKept && !(await this.#load(conversation))) return;
    openDialog("dialog-settings");
  }

  /** @param {string | null} conversation */
  async #load(conversation) {
    const { response, problem } = await get(`${base(conversation)}/settings`);
    if (!response) {
      this.parts.problem(problem);
      return false;
    }
    this.#place.replaceChildren();
    appendServerHtml(this.#place, await response.text());
    this.#presets = JSON.parse(one("#settings-presets").textContent ?? "[]");
    this.#shownFor = conversation ?? "new";
    if (!conversation && this.#waiting) this.#fill(this.#waiting);
    return true;
  }

  async #save() {
    const conversation = this.parts.conversation();
    const { problem } = await post(`${base(conversation)}/settings/save`, new FormData(this.#form));
    this.#problem.textContent = problem;
    if (problem) return;
    const fields = this.#fields();
    this.#button.dataset.isSet = String(Object.values(fields).some(Boolean));
    if (!conversation) this.#wait(fields);
    this.#dialog.close();
  }

  /** @returns {Record<string, string>} what the site reads as settings */
  #fields() {
    const texts = [...new FormData(this.#form)].map(([name, value]) => [name, String(value)]);
    return Object.fromEntries(texts.filter(([name]) => name !== "csrfmiddlewaretoken" && name !== "preset_name"));
  }

  /** @param {Event} event */
  #chosen(event) {
    if (event.target instanceof HTMLSelectElement && event.target.dataset.part === "preset") this.#use(event.target.value);
  }

  /** @param {string} id */
  #use(id) {
    one('[data-part="forget"]', this.#place).setAttribute("aria-disabled", String(!id));
    const preset = this.#presets.find((known) => known.id === id);
    if (!preset) return;
    this.#fill(preset.fields);
    /** @type {HTMLInputElement} */ (one('[name="preset_name"]', this.#place)).value = preset.name;
    this.#tell(`The fields hold “${preset.name}” now. Save to use it in this chat.`);
  }

  /** @param {Record<string, string>} fields */
  #fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      /** @type {HTMLInputElement} */ (one(`[name="${name}"]`, this.#place)).value = value;
    }
  }

  /** Enter in the name of a preset keeps that; elsewhere it saves the chat's settings. @param {KeyboardEvent} event */
  #keyPressed(event) {
    const isName = event.target instanceof HTMLInputElement && event.target.name === "preset_name";
    if (!isName || event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    one('[data-part="keep"]', this.#place).click();
  }

  /** @param {Event} event */
  #click(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    if (button.dataset.part === "keep") this.#change("/chat/presets/save", "Kept.");
    const id = /** @type {HTMLSelectElement | null} */ (this.#place.querySelector('[data-part="preset"]'))?.value;
    if (button.dataset.part === "forget" && id) this.#change(`/chat/presets/${id}/delete`, "Deleted.");
  }

  /** @param {string} url @param {string} words */
  async #change(url, words) {
    const { response, problem } = await post(url, new FormData(this.#form));
    this.#problem.textContent = problem;
    if (!response) return;
    this.#presets = (await response.json()).presets;
    const select = /** @type {HTMLSelectElement} */ (one('[data-part="preset"]', this.#place));
    const name = /** @type {HTMLInputElement} */ (one('[name="preset_name"]', this.#place)).value.trim();
    select.replaceChildren(new Option("None chosen", ""), ...this.#presets.map((preset) => new Option(preset.name, preset.id)));
    select.value = this.#presets.find((preset) => preset.name === name)?.id ?? "";
    one('[data-part="forget"]', this.#place).setAttribute("aria-disabled", String(!select.value));
    this.#tell(words);
  }

  /** @param {string} words */
  #tell(words) {
    one('[data-part="told"]', this.#place).textContent = words;
  }
}

/** @param {string | null} conversation */
function base(conversation) {
  return conversation ? `/chat/${conversation}` : "/chat";
}
