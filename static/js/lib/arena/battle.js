/**
 * A battle on this page: sends messages and verdicts, shows what comes.
 *
 * Events: `battle` (detail: {id, url} or null) when another battle is on the page, `said` (detail: a sentence).
 */

import { clearNotice, showError } from "../notice.js";
import { Outgoing } from "./outgoing.js";
import { BattleStates } from "./states.js";
import { Ways } from "./ways.js";

export class BattlePage extends BattleStates {
  /** @type {{previous: string | null, follows: string | null}} */
  #origin = { previous: null, follows: null };

  /** @param {import("./outgoing.js").BattleParts} parts */
  constructor(parts) {
    super();
    Object.assign(this, parts);
    const { socket, outbox, composer, votes, notice } = parts;
    this.outgoing = new Outgoing(outbox, notice, (request) => this.#giveBack(request));
    this.newOpponent = () => this.#newOpponent();
    this.ways = new Ways(/** @type {any} */ (this));
    socket.addEventListener("frame", (event) => this.#receive(/** @type {CustomEvent} */ (event).detail));
    socket.addEventListener("state", () => socket.state === "open" && this.#attach());
    composer.addEventListener("submit", (event) => this.send(/** @type {CustomEvent} */ (event).detail));
    composer.addEventListener("stop", () => this.#stop());
    composer.addEventListener("problem", (event) => this.outgoing.problem(/** @type {CustomEvent} */ (event).detail));
    votes.addEventListener("vote", (event) => this.#vote(/** @type {CustomEvent} */ (event).detail));
    votes.addEventListener("reveal", () => this.#cast("battle.reveal"));
    votes.addEventListener("again", (event) => this.begin(/** @type {CustomEvent} */ (event).detail));
  }

  /** Take over what the server rendered. @param {any} battle */
  open(battle) {
    this.battle = battle.id;
    if (battle.names) this.rounds.name(battle.names.map((/** @type {{name: string}} */ told) => told.name));
    if (battle.is_revealed) this.#tell(battle);
    if (battle.state === "running") this.move("writing");
    else if (battle.state === "failed") this.#failed(battle.error);
    else this.rest();
  }

  /** @param {string} text */
  send(text) {
    if (!this.battle && this.#isChoiceMissing) return this.outgoing.problem("Choose two models first.");
    clearNotice(this.notice);
    const turn = this.rounds.lastTurn;
    const request = this.battle ? { type: "battle.send", battle: this.battle, turn, text } : this.#start(text);
    this.rounds.addPending(text);
    this.composer.hold();
    this.move("sending");
    this.scroll.pin();
    this.outgoing.put(request);
  }

  /** Empty the page for another battle. @param {"new_round" | "rematch"} follows @param {string | null} [previous] */
  begin(follows, previous = this.battle ?? this.#origin.previous) {
    if (this.state === "sending" || this.state === "casting") return; // its answer is about the battle that is shown
    this.#origin = previous ? { previous, follows } : { previous: null, follows: null };
    this.battle = null;
    this.isTold = false;
    this.rounds.clear();
    this.votes.hideResult();
    this.move("idle");
    clearNotice(this.notice);
    if (follows === "rematch") this.ways.rematch("The same two again. Which of them is A is drawn anew.");
    this.composer.focus();
    this.emit("battle", null);
  }

  /** Side by side and without two to choose from: the site would draw two instead. */
  get #isChoiceMissing() {
    return this.isNamed && this.#origin.follows !== "rematch" && !this.choice();
  }

  #newOpponent() {
    if (this.state !== "failed") return;
    clearNotice(this.notice);
    this.#origin = { previous: this.battle, follows: "new_opponent" };
    this.move("sending");
    this.outgoing.put(this.#start(""));
  }

  /** @param {string} text */
  #start(text) {
    const chosen = this.#origin.follows === "rematch" || this.#origin.follows === "new_opponent" ? null : this.choice();
    if (chosen) this.rounds.name(chosen.names);
    return { type: "battle.start", arena: this.arena, text, choice: chosen?.ids ?? null, ...this.#origin };
  }

  /** @param {string} verdict */
  #vote(verdict) {
    this.#cast("battle.vote", { turn: this.rounds.lastTurn, verdict });
  }

  /** @param {string} type @param {object} [more] */
  #cast(type, more = {}) {
    if (this.state !== "judging") return;
    this.move("casting");
    this.outgoing.put({ type, battle: this.battle, ...more });
  }

  #stop() {
    if (this.socket.send({ type: "battle.stop", battle: this.battle })) this.composer.mode = "stopping";
    else this.outgoing.problem("There is no connection just now, so both go on. Stop them when the connection is back.");
  }

  #attach() {
    if (this.state === "writing") this.socket.send({ type: "battle.attach", battle: this.battle });
  }

  /** @param {any} frame */
  #receive(frame) {
    if (frame.type === "battle.accepted") return this.#accepted(frame);
    if (frame.type === "battle.refused") return this.#refused(frame);
    if (frame.type === "battle.revealed") return this.#revealed(frame);
    if (frame.type === "error") return this.#unasked(frame.error);
    if (frame.battle !== this.battle || this.state !== "writing") return;
    if (frame.type === "battle.progress") this.rounds.progress(frame);
    else if (frame.type === "battle.turn_ended") this.#turnEnded(frame);
  }

  #accepted(/** @type {any} */ frame) {
    const request = this.outgoing.take(frame.ref);
    if (!request) return;
    clearNotice(this.notice);
    if (request.follows === "new_opponent") {
      this.rounds.clear();
      this.rounds.addPending("");
    }
    if (frame.names) this.rounds.name(frame.names);
    this.rounds.confirmPending(frame);
    this.#origin = { previous: null, follows: null };
    const isNew = this.battle !== frame.battle;
    this.battle = frame.battle;
    this.composer.moveDraft(frame.battle);
    this.move("writing");
    if (isNew) this.emit("battle", { id: frame.battle, url: frame.url });
  }

  #turnEnded(/** @type {any} */ { error }) {
    if (error) return this.#failed(error);
    this.rounds.end("ended");
    this.rest();
    this.emit("said", this.isTold ? "Both answers are complete." : "Both answers are complete. Press Escape to go to the votes.");
  }

  #revealed(/** @type {any} */ frame) {
    if (!this.outgoing.take(frame.ref)) return;
    const sentence = this.#tell({ ...frame, names: [frame.a, frame.b] });
    this.rest();
    this.votes.focusResult();
    this.emit("said", sentence);
  }

  /** @param {any} told */
  #tell(told) {
    this.isTold = true;
    this.rounds.name([told.names[0].name, told.names[1].name]);
    this.rounds.mark(told.verdict);
    return this.votes.show(told);
  }

  /** @param {import("../explain.js").SiteError} error */
  #failed(error) {
    this.rounds.end("failed");
    this.move("failed");
    this.ways.failed(error);
    this.emit("said", error.message);
  }

  /** A frame that could not be acted on: what is written may not be shown any more. @param {import("../explain.js").SiteError} error */
  #unasked(error) {
    if (this.state !== "writing") return showError(this.notice, error);
    this.composer.mode = "answering"; // a stop that did not arrive can be asked for again
    this.ways.unseen(error);
  }

  #refused(/** @type {any} */ { ref, error }) {
    const request = this.outgoing.take(ref);
    if (!request) return;
    this.#giveBack(request);
    const again = () => this.composer.submit();
    if (this.state === "failed") this.ways.failed(error, request.follows ? "Try again" : "New opponent");
    else if (Ways.isOutdated(error.code)) this.ways.outdated(error);
    else if (this.#origin.follows === "rematch") this.ways.rematch(error.message, again);
    else showError(this.notice, error, request.text ? { again } : {});
  }

  /** What came to nothing returns to where it was. @param {import("./outgoing.js").BattleRequest} request */
  #giveBack(request) {
    if (request.text) {
      this.rounds.dropPending();
      this.composer.giveBack();
    }
    this.move(this.former);
  }
}
