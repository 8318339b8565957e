/** The arena page: makes its parts and ties them together. Everything it does is in ../lib. */

import { BattlePage } from "../lib/arena/battle.js";
import { Attachments } from "../lib/attach.js";
import { Rounds } from "../lib/arena/rounds.js";
import { Votes } from "../lib/arena/votes.js";
import { Composer } from "../lib/composer.js";
import { showConnection } from "../lib/connection.js";
import { listenForCopies } from "../lib/copy.js";
import { listenForDialogs } from "../lib/dialogs.js";
import { one } from "../lib/dom.js";
import { Images } from "../lib/images.js";
import { showNotice } from "../lib/notice.js";
import { Outbox } from "../lib/outbox.js";
import { listenForPrompts } from "../lib/prompts.js";
import { SentenceReader } from "../lib/reader.js";
import { StickyScroll } from "../lib/scroll.js";
import { listenForKeys } from "../lib/shortcuts.js";
import { ChatSocket } from "../lib/socket.js";

const data = JSON.parse(one("#page-data").textContent ?? "{}");
const newAddress = data.battle ? `/arena/of/${data.arena}${data.is_named ? "/side-by-side" : ""}` : location.pathname;
let shownPath = location.pathname;

const socket = new ChatSocket(data.socket_path);
const reader = new SentenceReader(one("#announcer"));
const composer = new Composer(data.limits.message_max_chars);
const votes = new Votes();
const battle = new BattlePage({
  socket,
  outbox: new Outbox(socket),
  rounds: new Rounds(),
  votes,
  composer,
  scroll: new StickyScroll(one("#thread"), one("#thread-column"), one("#jump")),
  notice: one("#notice"),
  arena: data.arena,
  isNamed: data.is_named,
  choice,
});

/** The two that were chosen by name, where there is a choice. */
function choice() {
  const selects = [...document.querySelectorAll("select[data-choice]")].map((select) => /** @type {HTMLSelectElement} */ (select));
  if (selects.length !== 2) return null;
  const names = selects.map((select) => select.selectedOptions[0].dataset.name ?? "");
  return { ids: selects.map((select) => select.value), names: /** @type {[string, string]} */ (names) };
}

/** @param {string} path */
function show(path) {
  if (location.pathname !== path) history.pushState(null, "", path);
  shownPath = location.pathname;
}

battle.addEventListener("battle", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  show(detail ? detail.url : newAddress);
  if (!detail) composer.openDraft("battle");
});
battle.addEventListener("said", (event) => reader.say(/** @type {CustomEvent} */ (event).detail));
window.addEventListener("popstate", () => location.pathname !== shownPath && location.reload());

const second = document.querySelector("#choice-B");
if (second instanceof HTMLSelectElement && second.options.length > 1) second.selectedIndex = 1;

const say = (/** @type {string} */ words) => reader.say(words);
const problem = (/** @type {string} */ words) => showNotice(one("#notice"), words, { tone: "problem" });
const images = new Images({ composer, maxBytes: data.limits.image_max_bytes, wantSight: () => {}, say });
new Attachments({ composer, images, problem, say });
listenForDialogs();
listenForPrompts(composer);
listenForCopies((words) => reader.say(words));
listenForKeys({
  closeDrawer: () => false,
  stop: () => (votes.isOn ? votes.focus() : composer.stop()),
  write: () => composer.focus(),
  other: (event) => votes.key(event),
});
showConnection(socket, one("#connection"));
composer.openDraft(data.battle?.id ?? "battle");
if (data.battle) battle.open(data.battle);
if (matchMedia("(hover: hover)").matches) composer.focus();
socket.connect();
