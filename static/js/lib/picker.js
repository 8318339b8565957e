/** The model picker: a native select whose options say how each model stands, refreshed while that can change. */

import { one } from "./dom.js";
import { recall, remember } from "./storage.js";

/**
 * @typedef {object} ModelInfo
 * @property {string} name
 * @property {string} display_name
 * @property {string} description
 * @property {"ready"|"loading"|"unavailable"} state
 * @property {number | null} progress from 0 to 1
 * @property {boolean} is_default
 * @property {boolean} sees_images
 */

const SOON_MS = 3_000;
const LATER_MS = 30_000;
const CHOICE_KEY = "model";

/** @param {string} state @param {number | null} progress */
function stateWords(state, progress) {
  if (state === "ready") return "Ready";
  if (state !== "loading") return "Not available";
  return progress === null ? "Loading" : `Loading ${Math.round(progress * 100)} %`;
}

export class Picker {
  #root = /** @type {HTMLElement} */ (one("#picker"));
  #select = /** @type {HTMLSelectElement} */ (one("#model"));
  #state = /** @type {HTMLElement} */ (one("#model-state"));
  #description = /** @type {HTMLElement} */ (one("#model-description"));
  #wantsSight = false;

  /** @param {string} model that the chat on this page is with; empty for a new chat, where the last choice counts */
  constructor(model) {
    const wanted = model || recall(CHOICE_KEY);
    const options = [...this.#select.options];
    const found = options.find(({ value, dataset }) => value === wanted || dataset.label === wanted);
    if (found) this.#select.value = found.value;
    this.#select.addEventListener("change", () => {
      remember(CHOICE_KEY, this.#select.value);
      this.#show();
    });
    for (const option of this.#select.options) this.#label(option);
    this.#show();
    this.#plan();
  }

  get model() {
    return this.#select.value;
  }

  /** While a message has images, only models that see can be chosen. @param {boolean} wanted */
  wantSight(wanted) {
    this.#wantsSight = wanted;
    for (const option of this.#select.options) this.#label(option);
    this.#show();
  }

  #plan() {
    const isSettled = [...this.#select.options].every((option) => option.dataset.state === "ready");
    setTimeout(() => this.#refresh(), isSettled ? LATER_MS : SOON_MS);
  }

  async #refresh() {
    if (!document.hidden && navigator.onLine) await this.#load();
    this.#plan();
  }

  async #load() {
    try {
      const response = await fetch(this.#root.dataset.url ?? "", { headers: { Accept: "application/json" } });
      if (response.ok) this.#update((await response.json()).models);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network; the next round will tell
    }
  }

  /** @param {ModelInfo[]} models */
  #update(models) {
    const chosen = this.#select.value;
    const options = models.map((model) => {
      const option = [...this.#select.options].find(({ value }) => value === model.name) ?? new Option("", model.name);
      const progress = model.progress === null ? "" : String(model.progress);
      Object.assign(option.dataset, { state: model.state, progress, label: model.display_name, description: model.description });
      option.dataset.sees = String(model.sees_images);
      this.#label(option);
      return option;
    });
    if (!options.length) return;
    // An open list must not be rebuilt under somebody's hand, unless it holds the wrong models.
    const isSame = options.length === this.#select.options.length && options.every((option) => option.isConnected);
    if (!isSame) this.#select.replaceChildren(...options);
    const preferred = [chosen, models.find((model) => model.is_default)?.name ?? ""];
    this.#select.value = preferred.find((name) => models.some((model) => model.name === name)) ?? models[0].name;
    this.#show();
  }

  /** @param {HTMLOptionElement} option */
  #label(option) {
    const { label = "", state = "" } = option.dataset;
    const isBlind = this.#wantsSight && option.dataset.sees !== "true";
    const word = isBlind ? "cannot see images" : state === "ready" ? "" : stateWords(state, progressOf(option)).toLowerCase();
    const text = word ? `${label} · ${word}` : label;
    if (option.textContent !== text) option.textContent = text;
    option.disabled = isBlind && !option.selected;
  }

  #show() {
    const option = this.#select.selectedOptions[0];
    if (!option) return;
    const { state = "", description = "" } = option.dataset;
    this.#state.dataset.state = state;
    const isBlind = this.#wantsSight && option.dataset.sees !== "true";
    const words = isBlind ? "Cannot see images" : stateWords(state, progressOf(option));
    if (this.#state.textContent !== words) this.#state.textContent = words;
    this.#description.textContent = description;
  }
}

/** @param {HTMLOptionElement} option */
function progressOf(option) {
  return option.dataset.progress ? Number(option.dataset.progress) : null;
}
