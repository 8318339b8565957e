"""Find the finished blocks of a Markdown text that is still arriving.

A block is finished when nothing that follows can change it: the next block has begun, or a blank line or a closing
fence ended it. Being late is allowed (the text stays in the tail), being wrong is not. Sends nothing anywhere.
"""

from __future__ import annotations

import re

from apps.conversations.markdown.grammar import Block, normalise_newlines, replace_unsafe_characters, split_blocks
from apps.conversations.markdown.rendering import render_block

PARSE_BUDGET = 8
"""Characters that may be parsed again per character received, in looking for the end of a long block."""
_FREE_BUDGET_CHARS = 20_000

_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_LIST_ITEM = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_INDENTED = re.compile(r" {0,3}\t| {4}")
_INTERRUPTS = re.compile(r" {0,3}(?:#{1,6}(?:[ \t]|$)|```|~~~|(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$)")

_LISTS = ("bullet_list_open", "ordered_list_open")
_ENDED_BY_BLANK_LINE = ("paragraph_open", "heading_open", "hr", "blockquote_open", "table_open", "math_block")


class BlockStream:
    """Render a text block by block as it arrives.

    However the text is cut into deltas, the blocks joined equal `render` of the whole. The cost is linear in its
    length. Link reference definitions are no exception, because the dialect has none (see `grammar`).
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._lines: list[str] = []  # finished lines of the open block, and perhaps of what follows it
        self._unended_line: list[str] = []
        self._held_return = ""
        self._open_kind = ""
        self._closing_fence: re.Pattern[str] | None = None
        self._received = 0
        self._parsed = 0

    @property
    def tail(self) -> str:
        """The source text after the last finished block."""
        return "".join([f"{line}\n" for line in self._lines] + self._unended_line)

    def feed(self, delta: str) -> list[str]:
        """Take the next piece of text; return the HTML of the blocks it finished."""
        text = self._held_return + replace_unsafe_characters(delta)
        self._held_return = "\r" if text.endswith("\r") else ""  # "\n" may follow in the next delta
        text = normalise_newlines(text.removesuffix("\r"))
        self._received += len(text)
        *ended, rest = text.split("\n")
        finished: list[str] = []
        for line in ended:
            self._unended_line.append(line)
            finished += self._end_line()
        if rest:
            self._unended_line.append(rest)
        self.blocks += finished
        return finished

    def finish(self) -> list[str]:
        """Say that the text is complete; return the HTML of the blocks that were still open."""
        finished = self.feed("\n") if self._held_return else []
        last = [render_block(block) for block in split_blocks(self.tail)]
        self._lines, self._unended_line = [], []
        self.blocks += last
        return finished + last

    def _end_line(self) -> list[str]:
        line = "".join(self._unended_line)
        self._unended_line = []
        if not self._lines and _is_blank(line):
            return []
        self._lines.append(line)
        if self._closing_fence is not None:
            return self._finish_fence() if self._closing_fence.fullmatch(line) else []
        if not self._may_have_finished() or self._parsed > PARSE_BUDGET * self._received + _FREE_BUDGET_CHARS:
            return []
        return self._take_finished()

    def _may_have_finished(self) -> bool:
        """Guess from the last line whether parsing is worth while."""
        line = self._lines[-1]
        if len(self._lines) == 1:
            self._open_kind = _guess_kind(line)
            return False
        if len(self._lines) == 2 and _FENCE.match(self._lines[0]):
            return True
        in_list, in_code = self._open_kind in _LISTS, self._open_kind == "code_block"
        if _is_blank(line):
            return not (in_list or in_code)
        if _is_blank(self._lines[-2]):
            continues = (in_list and _LIST_ITEM.match(line)) or ((in_list or in_code) and line.startswith((" ", "\t")))
            return not continues
        if _INTERRUPTS.match(line):
            return True
        in_quote = self._open_kind == "blockquote_open"
        return not (in_list or in_quote) and bool(line.lstrip(" ").startswith(">") or _LIST_ITEM.match(line))

    def _take_finished(self) -> list[str]:
        source = "".join(f"{line}\n" for line in self._lines)
        self._parsed += len(source)
        blocks = _certain(split_blocks(source))
        if _is_blank(self._lines[-1]) and blocks[-1].kind in _ENDED_BY_BLANK_LINE and not blocks[-1].may_become_math:
            self._lines = []
            return [render_block(block) for block in blocks]
        self._lines = self._lines[blocks[-1].start_line :]
        self._open_kind = blocks[-1].kind
        finished = [render_block(block) for block in blocks[:-1]]
        if self._open_kind == "fence" and len(self._lines) > 1:
            finished += self._enter_fence(blocks[-1])
        return finished

    def _enter_fence(self, block: Block) -> list[str]:
        """From here on only the closing line matters. Two lines are needed: ```` ```a|b ```` can still be a table."""
        fence = block.tokens[0].markup
        self._closing_fence = re.compile(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*")
        for number, line in enumerate(self._lines[1:], start=1):
            if self._closing_fence.fullmatch(line):  # seen late; this is the last block, so only blank lines follow
                self._lines = self._lines[: number + 1]
                return self._finish_fence()
        return []

    def _finish_fence(self) -> list[str]:
        blocks = split_blocks("".join(f"{line}\n" for line in self._lines))
        self._lines, self._closing_fence, self._open_kind = [], None, ""
        return [render_block(block) for block in blocks]


def _certain(blocks: list[Block]) -> list[Block]:
    """Without what comes after the first block of which a formula may still become a part; that one is still open."""
    for number, block in enumerate(blocks):
        if block.may_become_math:
            return blocks[: number + 1]
    return blocks


def _is_blank(line: str) -> bool:
    return not line.strip(" \t")


def _guess_kind(line: str) -> str:
    if _LIST_ITEM.match(line):
        return _LISTS[0]
    if _INDENTED.match(line):
        return "code_block"
    return "blockquote_open" if line.lstrip(" ").startswith(">") else "paragraph_open"
