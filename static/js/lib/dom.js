/** The few ways in which this page touches the document. Text goes in by `textContent`, except in one function. */

/**
 * @template {Element} T
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {T} the first match; a missing element is a mistake in the template, so it throws
 */
export function one(selector, root = document) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/**
 * Copy one of the templates that the server rendered (templates/conversations/_pieces.html).
 * @param {string} name
 * @returns {HTMLElement}
 */
export function piece(name) {
  const template = /** @type {HTMLTemplateElement} */ (one(`#piece-${name}`));
  return /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
}

/**
 * The only place where HTML enters the page. Call it with nothing but what the site itself rendered and sanitised:
 * the blocks of `generation.*` frames, `user_message.html`, the history partial, and the state of the pool.
 * @param {Element} parent
 * @param {string} html
 * @returns {Element[]} the new top-level elements
 */
export function appendServerHtml(parent, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const added = [...template.content.children];
  parent.append(template.content);
  return added;
}

/**
 * @param {string} tag
 * @param {{className?: string, text?: string, type?: string}} [options]
 * @param {...Node} children
 * @returns {HTMLElement}
 */
export function make(tag, { className = "", text = "", type = "" } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (type) element.setAttribute("type", type);
  element.append(...(text ? [text] : []), ...children);
  return element;
}
