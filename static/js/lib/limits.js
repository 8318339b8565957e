/** How much one message may hold. The site checks again; this says so before anything is sent. */

const SHOW_COUNT_FROM = 0.8;

const numbers = new Intl.NumberFormat("en");

/** Characters as the site counts them: code points. @param {string} text */
function countCharacters(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/**
 * @param {string} text
 * @param {number} maxChars
 * @returns {string} what is wrong with the length, or nothing
 */
export function lengthProblem(text, maxChars) {
  if (text.length > 2 * maxChars || countCharacters(text) > maxChars) {
    return `This is too long for one message: at most ${numbers.format(maxChars)} characters fit.`;
  }
  return "";
}

/**
 * @param {string} text
 * @param {number} maxChars
 * @returns {{label: string, isOver: boolean} | null} nothing while the limit is far
 */
export function lengthCount(text, maxChars) {
  if (text.length < SHOW_COUNT_FROM * maxChars) return null;
  const count = countCharacters(text);
  return { label: `${numbers.format(count)} of ${numbers.format(maxChars)} characters`, isOver: count > maxChars };
}

/** @param {number} pasted @param {number} maxChars */
export function pasteProblem(pasted, maxChars) {
  return (
    `The pasted text has ${numbers.format(pasted)} characters, and a message holds at most ` +
    `${numbers.format(maxChars)}. Nothing was pasted.`
  );
}
