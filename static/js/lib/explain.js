/** What went wrong in words for a person, and the step that helps. Codes: docs/chat_socket.md. */

/** @typedef {{code: string, message: string, retryable?: boolean}} SiteError */
/** @typedef {"again"|"new_chat"|"sign_in"|"reload"|"none"} Step */
/** @typedef {{text: string, step: Step, isProblem: boolean}} Explanation */

/** @type {Readonly<Record<string, [text: string, step: Step]>>} An empty text means the site's own words. */
const WORDS = Object.freeze({
  "chat.empty_message": ["There is nothing to send yet. Write something first.", "none"],
  "chat.message_too_long": ["This message is too long. Shorten it, or send it in parts.", "none"],
  "chat.answer_running": ["This chat is still being answered, perhaps in another window. Wait for it, or stop it.", "none"],
  "chat.nothing_to_continue": ["The last answer did not break off, so there is nothing to go on with.", "none"],
  "chat.columns_wrong": ["", "none"],
  "chat.choose_one": ["", "none"],
  "chat.nothing_to_answer": ["There is no question before this answer. Ask one.", "none"],
  "chat.not_found": ["This chat is not here any more. It may have been deleted, or you may have signed out.", "new_chat"],
  "site.bad_frame": ["The site did not understand this page. It may have been updated: reload the page.", "reload"],
  "chat.sign_in_required": ["Sign in to chat here. Your text stays in the box.", "sign_in"],
  "models.unknown": ["This model is not offered any more. Choose another one above, then try again.", "again"],
  "models.sees_nothing": ["", "none"],
  "holds.held": ["", "none"],
  "accounts.limit_exceeded": ["", "none"],
  "chat.setting_refused": ["", "none"],
  "chat.preset_name_wrong": ["", "none"],
  "chat.too_many_presets": ["", "none"],
  "chat.too_many_at_once": ["", "none"],
  "chat.unknown_change": ["", "none"],
  "chat.search_too_broad": ["", "none"],
  "chat.import_refused": ["", "none"],
  "chat.too_many_shares": ["", "none"],
  "chat.nothing_to_share": ["", "none"],
  "chat.share_too_long": ["", "none"],
  "chat.behind": ["", "again"],
  "chat.too_many_chats": ["", "none"],
  "chat.share_not_found": ["", "none"],
  "chat.comment_too_long": ["", "none"],
  "chat.feedback_refused": ["", "none"],
  "chat.title_empty": ["A chat needs a title.", "none"],
  "chat.too_many_attached": ["This page follows too many answers at once. Wait for one to finish.", "none"],
  "workers.none": ["Nothing is serving this model right now. Choose another one above, or try again in a while.", "again"],
  "workers.loading": ["The model is still loading. It will be ready soon: try again in a moment.", "again"],
  "workers.overloaded": ["The model has too many questions waiting. Try again in a moment.", "again"],
  "workers.queue_full": ["The model has too many questions waiting. Try again in a moment.", "again"],
  "workers.too_many_waiting": ["You have many questions waiting already. Let one be answered first.", "again"],
  "workers.waited_too_long": ["Your question waited too long for its turn. Try again later.", "again"],
  "workers.died": ["The machine that was answering went away. What it had written is kept.", "again"],
  "workers.unreachable": ["The machine that runs this model could not be reached. Try again in a moment.", "again"],
  "workers.refused": ["", "again"],
  "workers.failed": ["This model could not be loaded. Choose another one above.", "again"],
  "workers.internal": ["The model failed while it was answering. Try again.", "again"],
  "workers.generation_gone": ["The rest of this answer was lost. What came so far is kept.", "again"],
  "site.internal": ["Something went wrong on our side, and it is in the log. Try again.", "again"],
  "prompt.too_long": ["This chat has become too long for the model. Start a new one, or choose a model with more room.", "new_chat"],
});

/**
 * @param {SiteError} error
 * @returns {Explanation}
 */
export function explain(error) {
  const [words, step] = WORDS[error.code] ?? ["", error.retryable === false ? "none" : "again"];
  const text = words || error.message || "Something went wrong. Try again.";
  return { text, step, isProblem: error.retryable === false };
}

/** @type {Readonly<Record<Exclude<Step, "none"|"again">, {label: string, href: () => string}>>} */
const LINKS = Object.freeze({
  new_chat: { label: "New chat", href: () => "/chat" },
  sign_in: { label: "Sign in", href: () => `/accounts/login/?next=${encodeURIComponent(location.pathname)}` },
  reload: { label: "Reload", href: () => location.href },
});

/** @param {Exclude<Step, "none"|"again">} step */
export function stepLink(step) {
  const link = LINKS[step];
  return { label: link.label, href: link.href() };
}
