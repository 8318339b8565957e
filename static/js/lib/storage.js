/** What this browser remembers. Storage can be full or forbidden; the chat works without it. */

/** @param {string} key @returns {string} */
export function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch (error) {
    if (error instanceof DOMException) return "";
    throw error;
  }
}

/** @param {string} key @param {string} value an empty one forgets the key */
export function remember(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
