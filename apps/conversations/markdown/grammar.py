"""The Markdown dialect: CommonMark with tables, strikethrough and formulas, cut into top-level blocks.

Raw HTML, automatic links from bare words and link reference definitions are off. Without definitions no block can
change the meaning of another one, which is what lets a stream be rendered block by block. Renders nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

from apps.conversations.markdown.math_rules import OPENING_LINE, math_plugin

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_NESTING = 50
"""Containers in containers; a deeper block is shown as plain text, so that nothing a model wrote gets lost."""

HEADING_OFFSET = 2
"""An answer's `#` becomes h3: the page has the h1, each message has an h2."""

# Explicit embeddings, overrides and isolates can make code read differently from what it does ("Trojan Source",
# CVE-2021-42574). The marks LRM, RLM and ALM stay: right-to-left prose needs them.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NEWLINES = re.compile("\r\n?")
_ALLOWED_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)


_NEVER_MATH = ("fence", "code_block", "math_block", "heading_open", "hr")


@dataclass(frozen=True, slots=True)
class Block:
    """One top-level block: its kind is the type of its first token, `start_line` counts from 0 in the parsed text."""

    kind: str
    start_line: int
    source: str
    tokens: list[Token]

    @property
    def may_become_math(self) -> bool:
        """Whether a later line may make a formula of a part of it."""
        return self.kind not in _NEVER_MATH and OPENING_LINE.search(self.source) is not None

    @property
    def is_too_deep(self) -> bool:
        """Whether the parser stopped at MAX_NESTING, dropping what is further inside."""
        return any(token.level >= MAX_NESTING - 1 for token in self.tokens)


def replace_unsafe_characters(text: str) -> str:
    """Drop bidirectional controls; NUL and lone surrogates, which UTF-8 or HTML cannot carry, become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", _BIDI_CONTROLS.sub("", text))


def normalise_newlines(text: str) -> str:
    return _NEWLINES.sub("\n", text)


def split_blocks(source: str) -> list[Block]:
    """Parse block structure only (cheap); `source` must have been normalised."""
    tokens: list[Token] = []
    PARSER.block.parse(source, PARSER, {}, tokens)
    groups: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if depth == 0:
            groups.append([])
        groups[-1].append(token)
        depth += token.nesting
    lines = source.split("\n")
    bounds = pairwise([*(_start_line(group) for group in groups), len(lines)])
    return [
        Block(kind=group[0].type, start_line=start, source="\n".join(lines[start:end]), tokens=group)
        for group, (start, end) in zip(groups, bounds, strict=True)
    ]


def block_html(block: Block) -> str:
    """Parse the inline content of a block and render it. Not sanitised yet."""
    env: dict[str, Any] = {}
    PARSER.core.process(StateCore(block.source, PARSER, env, block.tokens))
    for token in block.tokens:
        _adapt(token)
    return str(PARSER.renderer.render(block.tokens, PARSER.options, env))


def _start_line(group: list[Token]) -> int:
    position = group[0].map
    assert position is not None  # noqa: S101 - every block rule of the parser sets it
    return position[0]


def _adapt(token: Token) -> None:
    """Fit a token to the page: lower headings, alignment by class (no inline style), images known to be in a link."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1]) + HEADING_OFFSET)}"
    elif token.type in ("th_open", "td_open"):
        style = str(token.attrs.pop("style", ""))
        if style:
            token.attrs["class"] = f"align-{style.removeprefix('text-align:')}"
    links_open = 0
    for child in token.children or ():
        if child.type in ("link_open", "link_close"):
            links_open += child.nesting
        elif child.type == "image":
            child.meta["is_in_link"] = links_open > 0


def _is_allowed_link(url: str) -> bool:
    return _ALLOWED_LINK.match(url) is not None


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["reference", "html_block", "html_inline"])
    parser.use(math_plugin)
    # `split_blocks` and `block_html` are these two steps and the rest of the chain.
    parser.core.ruler.disable(["normalize", "block"])
    parser.validateLink = _is_allowed_link  # type: ignore[method-assign]
    return parser


PARSER = _make_parser()
