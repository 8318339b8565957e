/** The chat page: makes its parts and ties them together. Everything it does is in ../lib. */

import { listenForActions } from "../lib/actions.js";
import { Attachments } from "../lib/attach.js";
import { Beside } from "../lib/beside.js";
import { Branches } from "../lib/branches.js";
import { Composer } from "../lib/composer.js";
import { showConnection } from "../lib/connection.js";
import { listenForCopies } from "../lib/copy.js";
import { listenForDialogs } from "../lib/dialogs.js";
import { one } from "../lib/dom.js";
import { listenForLinks } from "../lib/deeplink.js";
import { Drawer } from "../lib/drawer.js";
import { Editor } from "../lib/editor.js";
import { FeedbackButtons } from "../lib/feedback.js";
import { History } from "../lib/history.js";
import { Images } from "../lib/images.js";
import { Outbox } from "../lib/outbox.js";
import { Picker } from "../lib/picker.js";
import { listenForPrompts } from "../lib/prompts.js";
import { SentenceReader } from "../lib/reader.js";
import { StickyScroll } from "../lib/scroll.js";
import { Search } from "../lib/search.js";
import { SettingsPanel } from "../lib/settings.js";
import { Sharing } from "../lib/share.js";
import { listenForKeys } from "../lib/shortcuts.js";
import { ChatSocket } from "../lib/socket.js";
import { Thread } from "../lib/thread.js";
import { Turns } from "../lib/turns.js";

/** @type {import("../lib/protocol.js").PageData} */
const data = JSON.parse(one("#page-data").textContent ?? "{}");
let shownPath = location.pathname;
const siteName = document.title.split(" · ").at(-1);

const socket = new ChatSocket(data.socket_path);
const reader = new SentenceReader(one("#announcer"));
const composer = new Composer(data.limits.message_max_chars);
const scroll = new StickyScroll(one("#thread"), one("#thread-column"), one("#jump"));
const thread = new Thread({
  again: () => turns.tryAgain(),
  againInColumn: (message) => turns.regenerate(message, null),
  removed: () => editor.leave(),
});
const picker = new Picker(thread.last?.model ?? "");
const drawer = new Drawer();
const history_ = new History({ renamed: showTitle, problem: (words) => turns.problem(words) });
const address = () => `/chat/${turns.conversation}`;
const editor = new Editor({
  maxChars: data.limits.message_max_chars,
  address: (message) => `${address()}/messages/${message}/text`,
  send: (message, text) => turns.edit(message, text),
  problem: (words) => turns.problem(words),
  closed: () => turns.look(),
});
const settings = new SettingsPanel({
  isNew: !data.conversation,
  conversation: () => turns.conversation,
  problem: (words) => turns.problem(words),
});
const turns = new Turns({
  socket,
  outbox: new Outbox(socket),
  thread,
  composer,
  scroll,
  reader,
  editor,
  notice: one("#notice"),
  model: () => picker.model,
  beside: () => beside.models,
  settings: () => settings.forNewChat,
  conversation: data.conversation,
});

const beside = new Beside({ thread, problem: (words) => turns.problem(words) });
const branches = new Branches({
  thread,
  scroll,
  address,
  isBusy: () => turns.isBusy,
  look: () => turns.look(),
  replaced: () => (turns.threadReplaced(), beside.show()),
  say: (words) => reader.say(words),
  problem: (words) => turns.problem(words),
});
const sharing = new Sharing({ conversation: () => turns.conversation, say: (words) => reader.say(words) });

/** @param {string} title */
function showTitle(title) {
  document.title = `${title} · ${siteName}`;
  one("#header-title").textContent = title;
  one("#conversation-title").textContent = title;
}

turns.addEventListener("conversation", (event) => {
  const { title, url } = /** @type {CustomEvent} */ (event).detail;
  if (location.pathname !== url) history.pushState(null, "", url);
  shownPath = location.pathname;
  showTitle(title);
  history_.refresh();
  settings.begun();
  beside.show();
  sharing.offer();
  branches.settle();
});
turns.addEventListener("changed", (event) => {
  const { conversation, title } = /** @type {CustomEvent} */ (event).detail;
  if (conversation === turns.conversation && title) showTitle(title);
  history_.refresh();
});
turns.addEventListener("behind", () => branches.catchUp());
composer.addEventListener("last", () => thread.lastOwn && turns.whenFree(() => editor.open(thread.lastOwn)));
turns.addEventListener("ended", () => history_.refresh());
// A skip link changes the hash, which is a "popstate" too but the same page.
window.addEventListener("popstate", () => location.pathname !== shownPath && location.reload());

const feedback = new FeedbackButtons({
  address,
  say: (words) => reader.say(words),
  problem: (words) => turns.problem(words),
});
listenForActions({ turns, branches, editor, feedback });
listenForDialogs();
listenForPrompts(composer);
listenForCopies((words) => reader.say(words));
listenForKeys({
  closeDrawer: () => drawer.isOpen && (drawer.close(), true),
  stop: () => composer.stop(),
  write: () => composer.focus(),
});
showConnection(socket, one("#connection"));
composer.openDraft(data.conversation ?? "");
if (matchMedia("(hover: hover)").matches) composer.focus();
beside.show();
scroll.pin();
new Search();
const say = (/** @type {string} */ words) => reader.say(words);
const wantSight = (/** @type {boolean} */ wanted) => picker.wantSight(wanted);
const images = new Images({ composer, maxBytes: data.limits.image_max_bytes, wantSight, say });
new Attachments({ composer, images, problem: (words) => turns.problem(words), say });
listenForLinks({ thread, scroll, show: (message) => turns.whenFree(() => branches.show(message)) });
socket.connect();
