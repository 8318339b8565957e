/** Shapes of the frames, for the type checker in an editor. The contract itself is docs/chat_socket.md. */

/** @typedef {import("./explain.js").SiteError} SiteError */
/** @typedef {import("./answer.js").AnswerState} AnswerState */
/** @typedef {import("./switcher.js").Siblings} Siblings */

/**
 * @typedef {object} AcceptedFrame
 * @property {"turn.accepted"} type
 * @property {string} ref
 * @property {{id: string, title: string, url: string}} conversation
 * @property {string | null} after the message after which these stand
 * @property {{id: string, html: string, siblings: Siblings} | null} user_message
 * @property {{id: string, model: string, siblings: Siblings}} assistant_message
 * @property {string} generation
 */

/** @typedef {{type: "turn.accepted_beside", ref: string, conversation: {id: string, title: string, url: string}, generations: string[]}} BesideFrame */
/** @typedef {{type: "turn.refused", ref: string, error: SiteError}} RefusedFrame */
/** @typedef {{type: "generation.snapshot", generation: string, state: AnswerState, blocks: string[], tail: string}} SnapshotFrame */
/** @typedef {{type: "generation.queued", generation: string, place: number | null, eta_s: number | null}} QueuedFrame */
/** @typedef {{type: "generation.delta", generation: string, text: string}} DeltaFrame */
/** @typedef {{type: "generation.blocks", generation: string, blocks: string[], tail: string}} BlocksFrame */

/**
 * @typedef {object} EndFrame
 * @property {"generation.end"} type
 * @property {string} generation
 * @property {"complete"|"stopped"|"failed"} state
 * @property {string} finish_reason
 * @property {{prompt_tokens: number, completion_tokens: number} | null} usage
 * @property {number | null} tokens_per_s
 * @property {SiteError | null} error
 */

/** @typedef {{socket_path: string, conversation: string | null, generation: string | null, limits: {message_max_chars: number, image_max_bytes: number}}} PageData */

export {};
