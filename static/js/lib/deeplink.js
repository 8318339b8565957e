/** Opens the one message that an address names: `/chat/…#message-ID`, in whatever branch it is. */

const PREFIX = "#message-";
const SHOWN_FOR_MS = 2500;

/**
 * @param {object} parts
 * @param {import("./thread.js").Thread} parts.thread
 * @param {import("./branches.js").Branches} parts.branches
 * @param {import("./scroll.js").StickyScroll} parts.scroll
 */
export function listenForLinks({ thread, branches, scroll }) {
  const open = async () => {
    if (!location.hash.startsWith(PREFIX)) return;
    const message = location.hash.slice(PREFIX.length);
    if (!thread.article(message)) await branches.show(message);
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
