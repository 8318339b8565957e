/** Opens the one message that an address names: `/chat/…#message-ID`, in whatever branch it is. */

const PREFIX = "#message-";
const SHOWN_FOR_MS = 2500;

/**
 * @param {object} parts
 * @param {import("./thread.js").Thread} parts.thread
 * @param {(message: string) => Promise<void>} parts.show the branch of a message
 * @param {import("./scroll.js").StickyScroll} parts.scroll
 */
export function listenForLinks({ thread, show, scroll }) {
  const open = async () => {
    if (!location.hash.startsWith(PREFIX)) return;
    const message = location.hash.slice(PREFIX.length);
    if (!thread.article(message)) await show(message);
    const article = thread.article(message);
    if (!article) return;
    scroll.show(article);
    article.setAttribute("tabindex", "-1");
    article.focus({ preventScroll: true });
    article.classList.add("is-found");
    setTimeout(() => article.classList.remove("is-found"), SHOWN_FOR_MS);
  };
  window.addEventListener("hashchange", open);
  return open();
}
