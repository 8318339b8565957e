/** Keeps the end of the thread in view while the reader is there, and leaves alone a reader who has scrolled up. */

const NEAR_PX = 56;

export class StickyScroll {
  #thread;
  #jump;
  #isPinned = true;
  #lastTop = 0;

  /**
   * @param {HTMLElement} thread the scrolling element
   * @param {HTMLElement} column its content
   * @param {HTMLButtonElement} jump
   */
  constructor(thread, column, jump) {
    this.#thread = thread;
    this.#jump = jump;
    thread.addEventListener("scroll", () => this.#look(), { passive: true });
    jump.addEventListener("click", () => this.pin());
    const observer = new ResizeObserver(() => this.#follow());
    observer.observe(column);
    observer.observe(thread);
  }

  /** Go to the end and stay there. */
  pin() {
    this.#isPinned = true;
    this.#follow();
  }

  /** Bring this into view and stay there. @param {Element} element */
  show(element) {
    this.#isPinned = false;
    element.scrollIntoView({ block: "start" });
    this.#lastTop = this.#thread.scrollTop;
    this.#look();
  }

  /**
   * Change what is shown without moving an element that is there before and after.
   * @param {() => Element | null} place @param {() => void} change
   */
  keep(place, change) {
    const before = place()?.getBoundingClientRect().top;
    this.#isPinned = false;
    change();
    const after = place()?.getBoundingClientRect().top;
    if (before !== undefined && after !== undefined) this.#thread.scrollTop += after - before;
    this.#lastTop = this.#thread.scrollTop;
    this.#look();
  }

  #distance() {
    return this.#thread.scrollHeight - this.#thread.clientHeight - this.#thread.scrollTop;
  }

  /** Only moving up lets go: growing content also puts a distance between the view and the end. */
  #look() {
    const top = this.#thread.scrollTop;
    if (this.#distance() < NEAR_PX) this.#isPinned = true;
    else if (top < this.#lastTop) this.#isPinned = false;
    this.#lastTop = top;
    this.#jump.hidden = this.#isPinned;
  }

  #follow() {
    if (this.#isPinned) this.#thread.scrollTop = this.#thread.scrollHeight;
    this.#jump.hidden = this.#isPinned || this.#distance() < NEAR_PX;
  }
}
