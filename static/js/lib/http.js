/** Asking the site beside the socket. What went wrong comes back in words; nothing is thrown for a lost network. */

import { one } from "./dom.js";

const UNREACHABLE = "The site could not be reached. Try again when you are connected.";
const NOT_ACCEPTED = "The site did not accept this. Reload the page and try again.";

/** @typedef {{response: Response | null, problem: string}} Reply one of the two is empty */

/** @param {string} url @param {string} accept @returns {Promise<Reply>} */
export function get(url, accept = "text/html") {
  return ask(url, { headers: { Accept: accept } }, accept);
}

/**
 * @param {string} url
 * @param {FormData | Record<string, string>} fields a form's, or ours, which get the token that every change needs
 * @param {string} accept
 * @returns {Promise<Reply>}
 */
export function post(url, fields, accept = "application/json") {
  const body = fields instanceof FormData ? fields : new FormData();
  if (!(fields instanceof FormData)) {
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    const token = /** @type {HTMLInputElement} */ (one('[name="csrfmiddlewaretoken"]'));
    body.append(token.name, token.value);
  }
  // An error is wanted as JSON also where a page is wanted.
  return ask(url, { method: "POST", body, headers: { Accept: accept } }, accept);
}

/** @param {string} url @param {RequestInit} request @param {string} accept @returns {Promise<Reply>} */
async function ask(url, request, accept) {
  try {
    const response = await fetch(url, request);
    if (response.ok && !response.redirected) return { response, problem: "" };
    const isOurs = response.headers.get("Content-Type")?.startsWith("application/json");
    if (isOurs) return { response: null, problem: (await response.json()).error.message };
    const isPlain = accept !== "application/json" && response.headers.get("Content-Type")?.startsWith("text/plain");
    return { response: null, problem: isPlain ? await response.text() : NOT_ACCEPTED };
  } catch (error) {
    if (error instanceof TypeError) return { response: null, problem: UNREACHABLE };
    throw error;
  }
}
