/** Which model "Try again" asks: the one of the last request, until a person picks another. */

export class Asked {
  /** @type {string | null} */
  #model = null;
  /** @type {string | null} */
  #picked = null;

  /** @param {() => string} picked what the picker says */
  constructor(picked) {
    this.picked = picked;
  }

  /** @param {import("./outbox.js").Request} request without a model it is for the one that wrote the old answer */
  note(request) {
    this.#model = "model" in request ? request.model : null;
    this.#picked = this.picked();
  }

  /** @returns {string | null} nothing for the model of the answer that failed */
  get again() {
    const picked = this.picked();
    return this.#picked === picked ? this.#model : picked;
  }
}
