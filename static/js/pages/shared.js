/** A shared chat: code can be copied, and what scrolls sideways can be scrolled by keyboard. */

import { dressCode, listenForCopies } from "../lib/copy.js";
import { one } from "../lib/dom.js";

dressCode(one(".shared"));
listenForCopies((words) => (one("#announcer").textContent = words));
