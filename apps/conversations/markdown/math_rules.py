"""Where formulas are in a Markdown text: `$a$`, `\\(a\\)`, `$$a$$`, `\\[a\\]`, and the last two on lines of their own.

A block between lines of `$$` is one only when it is closed. Renders nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from apps.conversations.markdown.math import MAX_FORMULA_CHARS

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

CLOSING_LINES = {"$$": "$$", "\\[": "\\]"}
OPENING_LINE = re.compile(r"^ ?(?:\$\$|\\\[)[ \t]*$", re.MULTILINE)
"""May begin a block, at the margin of a document."""

_INLINE = (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False), ("$", "$", False))
MAX_BLOCK_LINES = 200


def math_plugin(parser: MarkdownIt) -> None:
    parser.inline.ruler.before("escape", "math_inline", _inline)
    alternatives = ["paragraph", "reference", "blockquote", "list", "table"]
    parser.block.ruler.before("fence", "math_block", _block, {"alt": alternatives})


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    closing = CLOSING_LINES.get(_line(state, start_line))
    if closing is None:
        return False
    for line in range(start_line + 1, min(end_line, start_line + MAX_BLOCK_LINES)):
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            return False  # the container ends here
        if _line(state, line) == closing:
            break
    else:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.content = state.getLines(start_line + 1, line, state.blkIndent, False)
    token.map = [start_line, line + 1]
    token.markup = closing
    state.line = line + 1
    return True


def _line(state: StateBlock, line: int) -> str:
    """Its text, if it stands at the margin of its container."""
    if state.sCount[line] - state.blkIndent > 1:
        return ""
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()


def _inline(state: StateInline, silent: bool) -> bool:
    for opening, closing, is_display in _INLINE:
        if state.src.startswith(opening, state.pos):
            start = state.pos + len(opening)
            end = _end(state.src, start, closing)
            if end is None:
                continue
            if not silent:
                token = state.push("math_inline", "math", 0)
                token.content = state.src[start:end]
                token.markup = opening
                token.meta = {"is_display": is_display, "source": state.src[state.pos : end + len(closing)]}
            state.pos = end + len(closing)
            return True
    return False


def _end(source: str, start: int, closing: str) -> int | None:
    """Where the formula ends, if one begins at `start`."""
    limit = start + MAX_FORMULA_CHARS + len(closing)
    if closing != "$":
        end = source.find(closing, start, limit)
        return end if end > start and source[start:end].strip() else None
    # As pandoc does, so that prices stay prices: no space inside of the dollars, no digit after them.
    if source[start : start + 1].isspace():
        return None
    end = source.find("$", start, limit)
    while end != -1 and source[end - 1] == "\\":
        end = source.find("$", end + 1, limit)
    is_closing = end > start and not source[end - 1].isspace() and not source[end + 1 : end + 2].isdigit()
    return end if is_closing else None
