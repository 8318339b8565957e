/**
 * The states of a battle on a page, and what a person can do in each.
 *
 *   idle -> sending -> writing -> judging -> casting -> told      judging, told -> sending -> writing …
 *                      writing -> failed -> sending (a new opponent), idle (a new round)
 *
 * What is refused returns from sending or casting to the state before.
 */

/** @typedef {"idle" | "sending" | "writing" | "judging" | "failed" | "casting" | "told"} BattleState */

/** Whoever extends it has `composer` and `votes`. */
export class BattleStates extends EventTarget {
  /** @type {BattleState} */
  state = "idle";
  /** The one before sending or casting. @type {BattleState} */
  former = "idle";
  isTold = false;
  /** @type {string | null} */
  battle = null;

  /** Nothing is under way. */
  rest() {
    this.move(!this.battle ? "idle" : this.isTold ? "told" : "judging");
  }

  /** @param {BattleState} state */
  move(state) {
    if (this.state !== "sending" && this.state !== "casting") this.former = this.state;
    this.state = state;
    this.composer.mode = state === "writing" ? "answering" : state === "sending" || state === "casting" ? "sending" : "ready";
    const isShown = !this.isTold && (state === "writing" || state === "judging" || state === "casting");
    this.votes.mode = state === "judging" ? "on" : isShown ? "off" : "hidden";
  }

  emit(/** @type {string} */ type, /** @type {any} */ detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
