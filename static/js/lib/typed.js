/**
 * What a person typed, as the page shows it until the site has stored it: paragraphs, and images in the place of their
 * marks. The site writes the same in HTML (apps/conversations/markdown/rendering.py).
 */

import { make } from "./dom.js";

/** An image: its words and its id (apps/conversations/image_marks.py). */
export const MARK = /!\[((?:[^[\]\n]|\[removed\]){0,500})\]\(image:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\)/g;

/** @param {string} text @returns {HTMLElement[]} */
export function typed(text) {
  const [written, ...rest] = text.split(MARK);
  const shown = paragraphs(written);
  while (rest.length) {
    const [words, id, after] = rest.splice(0, 3);
    shown.push(picture(words, id), ...paragraphs(after));
  }
  return shown;
}

/** What was written, and the marks of the images in it. @param {string} text @returns {{written: string, marks: string[]}} */
export function apart(text) {
  const marks = text.match(MARK) ?? [];
  if (!marks.length) return { written: text, marks };
  const parts = text.split(MARK).filter((_, place) => place % 3 === 0);
  const written = parts.map((part) => part.replace(/^\s*\n|\s+$/g, "")).filter(Boolean);
  return { written: written.join("\n\n"), marks };
}

/** @param {string} id */
export function imageAddress(id) {
  return `/chat/images/${id}`;
}

/** For who cannot see the image. @param {string} words of its mark */
export function described(words) {
  return words.trim() || "Image without a description";
}

/** @param {string} text */
function paragraphs(text) {
  const written = text.trim();
  return written ? written.split(/\n{2,}/).map((text) => make("p", { className: "plain", text })) : [];
}

/** @param {string} words @param {string} id */
function picture(words, id) {
  const image = /** @type {HTMLImageElement} */ (make("img"));
  image.src = imageAddress(id);
  image.alt = described(words);
  return make("span", { className: "image" }, image);
}
