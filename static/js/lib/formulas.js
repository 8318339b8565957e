/** Formulas as their authors wrote them: what is copied or read aloud is the LaTeX, not the parts of its picture. */

/** Put the source in the place of every formula. @param {Element} root a copy of what is on the page */
export function spellFormulas(root) {
  for (const formula of root.querySelectorAll("math")) {
    const mark = formula.getAttribute("display") === "block" ? "$$" : "$";
    formula.replaceWith(`${mark}${formula.querySelector("annotation")?.textContent ?? ""}${mark}`);
  }
}

/** The words of a finished block; of thoughts none. @param {Element} block */
export function wordsOf(block) {
  if (block.matches("details")) return "";
  if (!block.querySelector("math")) return block.textContent ?? "";
  const copy = /** @type {Element} */ (block.cloneNode(true));
  spellFormulas(copy);
  return copy.textContent ?? "";
}
