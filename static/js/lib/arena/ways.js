/** Ways on from a battle that came to a halt, as notices with buttons: there is none without at least one. */

import { showNotice } from "../notice.js";

/** What can be repeated no more: another battle came out of it, its names were told, its texts are gone. */
const FINAL = ["arena.erased", "arena.followed", "arena.already_revealed"];
/** What is shown here is not what the site has. */
const OUTDATED = ["arena.already_voted", "arena.already_revealed", "arena.battle_not_found", "arena.changed"];

/** @typedef {import("../explain.js").SiteError} SiteError */
/** @typedef {{notice: HTMLElement, isNamed: boolean, isTold: boolean, begin: (follows: "new_round", previous?: null) => void, newOpponent: () => void}} Page */

const reload = () => ({ label: "Reload", run: () => location.reload() });

export class Ways {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
  }

  /** @param {string} code */
  static isOutdated(code) {
    return OUTDATED.includes(code);
  }

  /** A turn that failed. Two whose names are known get no new opponent: they were chosen, or judged. @param {SiteError} error @param {string} [label] */
  failed({ code, message }, label = "New opponent") {
    const { isNamed, isTold, newOpponent } = this.page;
    const canGoOn = !isNamed && !isTold && !FINAL.includes(code);
    this.#show(message, canGoOn ? [{ label, run: newOpponent }, this.#newRound()] : [this.#newRound()]);
  }

  /** A request about something that has changed. @param {SiteError} error */
  outdated({ message }) {
    this.#show(message, [reload()]);
  }

  /** The site cannot show what is written; the answers may go on. @param {SiteError} error */
  unseen({ message }) {
    this.#show(message, [reload(), this.#newRound("New round", null)]);
  }

  /** A rematch that was chosen can be left again. @param {string} text @param {() => void} [again] */
  rematch(text, again) {
    const instead = this.#newRound("New round instead");
    this.#show(text, again ? [{ label: "Try again", run: again }, instead] : [instead], again ? "plain" : "quiet");
  }

  /** @param {string} [label] @param {null} [previous] */
  #newRound(label = "New round", previous) {
    return { label, run: () => this.page.begin("new_round", previous) };
  }

  /** @param {string} text @param {import("../notice.js").Action[]} actions @param {"plain" | "quiet"} [tone] */
  #show(text, actions, tone = "plain") {
    showNotice(this.page.notice, text, { actions, tone });
  }
}
