"""Render Markdown blocks and pass every one of them through the sanitiser.

Two independent locks: the parser never emits raw HTML, and nh3 lets only the tags, classes and links named here
through. Remote images are never loaded: they become links. Does not know about streams.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

import nh3
from markdown_it.common.utils import unescapeAll

from apps.conversations import image_marks
from apps.conversations.markdown import files, math
from apps.conversations.markdown.grammar import (
    PARSER,
    Block,
    block_html,
    normalise_newlines,
    replace_unsafe_characters,
    split_blocks,
)
from apps.conversations.markdown.highlight import highlighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

# fmt: off
_TAGS = frozenset((
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
)) | math.TAGS
# fmt: on
IMAGES_AT = "/chat/images/"
"""Where somebody's own images are."""
_CLASS = re.compile(
    r"(?:hl-[a-z0-9]{1,4}(?: hl-[a-z0-9]{1,4})*|code|code__bar|code__language|table|plain|math|align-[a-z]{4,6})"
)
_NUMBER = re.compile(r"-?\d{1,9}")
_LANGUAGE = re.compile(r"[\w+#.-]{1,24}")


def render(text: str) -> str:
    """Return the sanitised HTML of a finished Markdown text."""
    return "".join(render_block(block) for block in split_blocks(normalise_newlines(replace_unsafe_characters(text))))


def render_user(text: str, *, images_at: str | None = IMAGES_AT) -> str:
    """Return what a person typed as escaped paragraphs with their line breaks: people do not expect Markdown.

    Text files in it are folded, and images shown. `images_at`: where these are, before their ids; None: nowhere.
    """
    parts = files.parts_of(normalise_newlines(replace_unsafe_characters(text)).strip("\n"))
    return "".join(_typed(part, images_at) if isinstance(part, str) else part.html for part in parts)


def render_block(block: Block) -> str:
    """Return the sanitised HTML of one top-level block; one nested too deeply is shown as it was written."""
    if block.is_too_deep:
        return _paragraph(block.source.strip("\n"), css_class="plain")
    return sanitise(block_html(block))


def sanitise(html: str) -> str:
    return _CLEANER.clean(html)


def _typed(text: str, images_at: str | None) -> str:
    if images_at is None:
        return _paragraphs(text)
    parts = image_marks.parts_of(text)
    return "".join(_paragraphs(part) if isinstance(part, str) else _image(part, images_at) for part in parts)


def _image(mark: image_marks.ImageMark, images_at: str) -> str:
    """Only its id leads anywhere: an address cannot be written into a mark."""
    address = escape(f"{images_at}{mark.id}")
    words = escape(mark.words or "Image without a description")
    return f'<a class="image" href="{address}" target="_blank" rel="noopener"><img src="{address}" alt="{words}"></a>'


def _paragraphs(text: str) -> str:
    return "".join(_paragraph(paragraph) for paragraph in re.split(r"\n{2,}", text.strip("\n")))


def _paragraph(text: str, *, css_class: str = "") -> str:
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<p{attribute}>{escape(text).replace(chr(10), '<br>')}</p>"


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    match tag, name:
        case _, "class":
            return value if _CLASS.fullmatch(value) else None
        case "annotation", "encoding":
            return value if value == "application/x-tex" else None
        case _, _ if tag in math.TAGS:
            return value if math.ATTRIBUTES[name].fullmatch(value) else None
        case "ol", "start":
            return value if _NUMBER.fullmatch(value) else None
        case _:
            return value


_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes={
        "*": set(),  # without it, lang and title would be allowed everywhere
        "a": {"href"},
        "code": {"class"},
        "div": {"class"},
        "ol": {"start"},
        "p": {"class"},
        "span": {"class"},
        "td": {"class"},
        "th": {"class"},
        **{tag: set(math.ATTRIBUTES) for tag in math.TAGS},
        "annotation": {"encoding"},
    },
    attribute_filter=_filter_attribute,
    link_rel="noopener noreferrer nofollow ugc",
    set_tag_attribute_values={"a": {"target": "_blank", "referrerpolicy": "no-referrer"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)


def _code_html(code: str, info: str) -> str:
    words = unescapeAll(info).split(maxsplit=1)
    language = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
    return (
        f'<div class="code"><div class="code__bar"><span class="code__language">{escape(language or "text")}</span>'
        f"</div><pre><code>{highlighted(code, language)}</code></pre></div>\n"
    )


def _render_code(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    return _code_html(tokens[index].content, tokens[index].info)


def _render_image(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    description = renderer.renderInlineAsText(token.children or [], options, env)
    label = escape(f"image: {description}" if description else "image")
    if token.meta["is_in_link"]:
        return label
    return f'<a href="{escape(str(token.attrs["src"]))}">{label}</a>'


def _open_table(*_: Any) -> str:
    return '<div class="table"><table>\n'


def _close_table(*_: Any) -> str:
    return "</table></div>\n"


def _render_formula(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    html = math.math_html(token.content.strip(), is_display=token.meta["is_display"])
    return html or f"<code>{escape(token.meta['source'])}</code>"


def _render_math_block(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    content = tokens[index].content
    html = math.math_html(" ".join(content.split()), is_display=True)
    return f'<div class="math">{html}</div>\n' if html else _code_html(content, "latex")


PARSER.add_render_rule("math_inline", _render_formula)
PARSER.add_render_rule("math_block", _render_math_block)
PARSER.add_render_rule("fence", _render_code)
PARSER.add_render_rule("code_block", _render_code)
PARSER.add_render_rule("image", _render_image)
PARSER.add_render_rule("table_open", _open_table)
PARSER.add_render_rule("table_close", _close_table)
