/**
 * Images are `images.js`' business. Text files go into the message as text, with their name and a fence around them: so
 * they are counted, kept as a draft and sent like what was typed. The site shows them folded
 * (apps/conversations/markdown/files.py).
 */

import { one } from "./dom.js";

const MARK = "File: ";
const FILES_MAX = 10;

export class Attachments {
  #input = /** @type {HTMLInputElement} */ (one("#attach-file"));
  #form = /** @type {HTMLFormElement} */ (one("#composer"));

  /**
   * @param {object} parts
   * @param {import("./composer.js").Composer} parts.composer
   * @param {import("./images.js").Images} parts.images
   * @param {(words: string) => void} parts.problem
   * @param {(words: string) => void} parts.say to a screen reader
   */
  constructor(parts) {
    this.parts = parts;
    one("#attach").addEventListener("click", () => this.#input.click());
    this.#input.addEventListener("change", () => this.#take([...(this.#input.files ?? [])]));
    this.#form.addEventListener("paste", (event) => this.#pasted(event));
    this.#form.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    this.#form.addEventListener("drop", (event) => this.#dropped(event, event.dataTransfer));
  }

  /** What a word processor or a table copies is a text, and beside it a picture of it. @param {ClipboardEvent} event */
  #pasted(event) {
    if (!event.clipboardData?.getData("text/plain")) this.#dropped(event, event.clipboardData);
  }

  /** @param {Event} event @param {DataTransfer | null} data */
  #dropped(event, data) {
    const files = [...(data?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    this.#take(files);
  }

  /** @param {File[]} files */
  async #take(files) {
    this.#input.value = "";
    if (files.length > FILES_MAX) return this.parts.problem(`At most ${FILES_MAX} files can be attached at once.`);
    const taken = [];
    const problems = [];
    for (const file of files) {
      const problem = await this.#add(file);
      if (problem) problems.push(problem);
      else taken.push(file.name);
    }
    if (problems.length) this.parts.problem(problems.join(" "));
    if (!taken.length) return;
    this.parts.say(taken.length === 1 ? `${taken[0]} is in your message.` : `${taken.length} files are in your message.`);
    this.parts.composer.focus();
  }

  /** @param {File} file @returns {Promise<string>} what is wrong with it, or nothing */
  async #add(file) {
    const { composer, images } = this.parts;
    if (file.type.startsWith("image/")) return images.add(file);
    // A character has four bytes at most: what is larger cannot fit, and is not read at all.
    if (file.size > 4 * composer.maxChars) return `${file.name} is too large for a message.`;
    const text = await textOf(file);
    if (text === null) return `${file.name} is not a text file in UTF-8. Only images and text files can be attached.`;
    const before = composer.text.trimEnd();
    const whole = (before ? `${before}\n\n` : "") + fenced(file.name, text);
    if (whole.length > composer.maxChars) return `${file.name} does not fit into this message any more.`;
    composer.text = whole;
    composer.keepDraft();
    return "";
  }
}

/** @param {File} file @returns {Promise<string | null>} nothing for bytes that are no text */
async function textOf(file) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? null : text.replaceAll("\r\n", "\n").trimEnd();
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return null; // not UTF-8, or a folder
    throw error;
  }
}

/** @param {string} name @param {string} text */
function fenced(name, text) {
  const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${MARK}${name.replace(/\s+/g, " ").slice(0, 200)}\n${fence}\n${text}\n${fence}\n`;
}
