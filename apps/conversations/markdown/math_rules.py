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
    line = _closing_line(state, start_line, end_line, closing)
    if line is None:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.content = state.getLines(start_line + 1, line, state.blkIndent, False)
    token.map = [start_line, line + 1]
    token.markup = closing
    state.line = line + 1
    return True


def _closing_line(state: StateBlock, start_line: int, end_line: int, closing: str) -> int | None:
    """Where the block that may begin here is closed.

    Where an earlier search of the same container found nothing is not searched again: many openings cost no more than
    one does.
    """
    searched: dict[tuple[str, int, int, int], tuple[int, bool]] = state.env.setdefault("math_searched", {})
    container = (closing, state.level, state.blkIndent, end_line)
    last = min(end_line, start_line + MAX_BLOCK_LINES)
    first, is_over = start_line + 1, False
    known_to, ends_there = searched.get(container, (0, False))
    if start_line < known_to:
        first, is_over = max(first, known_to), ends_there
    line = first
    while line < last and not is_over:
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            is_over = True  # the container ends here
        elif _line(state, line) == closing:
            return line
        else:
            line += 1
    searched[container] = (line, is_over)
    return None


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
