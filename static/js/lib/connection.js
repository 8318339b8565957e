/** Says discreetly that the connection is gone; a moment without one is not worth a word. */

const PATIENCE_MS = 1_200;

/**
 * @param {import("./socket.js").ChatSocket} socket
 * @param {HTMLElement} place
 */
export function showConnection(socket, place) {
  let timer = 0;
  socket.addEventListener("state", () => {
    if (socket.state === "open") {
      clearTimeout(timer);
      timer = 0;
      place.hidden = true;
      place.textContent = "";
    } else if (!timer) {
      timer = setTimeout(() => {
        place.hidden = false;
        place.textContent = navigator.onLine ? "Reconnecting…" : "Offline";
      }, PATIENCE_MS);
    }
  });
}
