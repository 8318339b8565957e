/**
 * Reads an answer to a screen reader in sentences and blocks, never in tokens.
 *
 * The tail is Markdown source and a finished block is its rendered text, so the two are compared by their letters and
 * digits alone: what was read from the tail is skipped when the block arrives.
 */

const WORD = /[\p{L}\p{N}]/u;
const SENTENCE_ENDS = /[.!?…](?=["'”’)\]*_]*\s)|[。！？]|\n/gu;
/** What ends a sentence of which the words were read. */
const REST_OF_SENTENCE = /[^\p{L}\p{N}\s]*(?:\s+|[。！？])/uy;
const MARKS = /[*_`#>~|]+/g;
const KEPT_LINES = 12;

/**
 * @param {string} text
 * @param {number} count letters and digits to pass over, and what ends their sentence
 * @returns {{index: number, passed: number}} where they end, and how many there were
 */
function skipWords(text, count) {
  let index = 0;
  let passed = 0;
  for (const character of text) {
    if (passed >= count) break;
    if (WORD.test(character)) passed += 1;
    index += character.length;
  }
  REST_OF_SENTENCE.lastIndex = index;
  if (passed && REST_OF_SENTENCE.test(text)) index = REST_OF_SENTENCE.lastIndex;
  return { index, passed };
}

export class SentenceReader {
  #place;
  #read = 0; // letters and digits of the open block that were read already
  #position = 0; // where in the tail to go on
  #searched = 0; // up to here no further sentence ends

  /** @param {Element} place the live region */
  constructor(place) {
    this.#place = place;
  }

  /** @param {string} text something to say now, such as "Answer finished" */
  say(text) {
    const words = text.replace(MARKS, "").trim();
    if (!WORD.test(words)) return;
    const line = document.createElement("p");
    line.textContent = words;
    this.#place.append(line);
    while (this.#place.children.length > KEPT_LINES) this.#place.firstElementChild?.remove();
  }

  /** Start anew; what a snapshot shows counts as read. @param {string} tail */
  restart(tail) {
    this.#position = this.#searched = tail.length;
    this.#read = skipWords(tail, Infinity).passed;
  }

  /** @param {string} tail the whole unfinished text */
  tail(tail) {
    if (tail.startsWith("```") || tail.startsWith("~~~")) return; // code is read when it is complete
    if (tail.trimStart().startsWith("<think>")) return; // thoughts are read when somebody opens them
    // An end is known by what follows it, a few characters later at most.
    SENTENCE_ENDS.lastIndex = Math.max(this.#position, this.#searched - 8);
    this.#searched = tail.length;
    let end = -1;
    while (SENTENCE_ENDS.exec(tail)) end = SENTENCE_ENDS.lastIndex;
    if (end < 0) return;
    const sentence = tail.slice(this.#position, end);
    this.#position = end;
    this.#read += skipWords(sentence, Infinity).passed;
    this.say(sentence);
  }

  /** @param {string[]} texts of the blocks that were finished, in order @param {string} tail what is open now */
  blocks(texts, tail) {
    for (const text of texts) {
      const { index, passed } = skipWords(text, this.#read);
      this.#read -= passed;
      this.say(text.slice(index));
    }
    this.#position = this.#searched = skipWords(tail, this.#read).index;
  }
}
