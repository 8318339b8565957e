"""Pages as HTML, cut into tags and texts. Pure.

Most pages are well-formed, and a look at each tag shows it. One that is not is mended by lexbor as a browser would, and
then is.
"""

import re

from selectolax.lexbor import LexborHTMLParser

from apps.datasets.markup.bounds import HTML_MAX_DEPTH, is_too_much
from apps.datasets.markup.elements import SKIPPED, VOID
from apps.datasets.markup.writing import LEAVES, Page

_NAME = r"[a-zA-Z][a-zA-Z0-9:-]*"
_ROW = r"<(tr)>((?:\s*<(?:td>[^<]*</td|th>[^<]*</th)>)++)\s*</tr>"
_LIST = r"<([uo]l)>((?:\s*<li>[^<]*</li>)++)\s*</\3>"
_LEAF = rf"<({'|'.join(LEAVES)})>([^<]*)</\5>"
_ATTRIBUTES = r"""((?:\s++[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|[^\s"'<>=`]++))?+)*+)"""
_TAG = re.compile(rf"{_ROW}|{_LIST}|{_LEAF}|<(/?)({_NAME}){_ATTRIBUTES}\s*+(/?)>")
"""As pages are written; an attribute between single quotes is for lexbor to read. Elements that hold but a text, as
most do, and rows and lists of such are read at one go."""
_HELD = re.compile(r"<(\w+)>([^<]*)</")
_MENDED_TAG = re.compile(rf"<!--.*?-->|<(/?)({_NAME})" r"""((?: [^\s"=]+="[^"]*")*)>""", re.DOTALL)
"""As lexbor writes them."""
_KNOWN = frozenset({
    "div", "p", "span", "b", "strong", "i", "em", "u", "s", "del", "ins", "sub", "sup", "small", "mark", "code", "kbd",
    "samp", "var", "abbr", "cite", "q", "dfn", "a", "ul", "ol", "li", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5",
    "h6", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "section", "article", "figure", "figcaption", "dl",
    "dt", "dd", "button", "br", "hr", "img",
})  # fmt: skip
"""Elements of which `_is_misplaced` knows where they may stand."""
_ENDS_PARAGRAPH = frozenset({
    "div", "p", "ul", "ol", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "figure",
    "figcaption", "dl", "hr",
})  # fmt: skip
"""Of the known ones those before which a browser ends a paragraph. A table is none, in pages without a doctype."""
_INSIDE = {
    "li": frozenset({"ul", "ol"}),
    "dt": frozenset({"dl"}),
    "dd": frozenset({"dl"}),
    "thead": frozenset({"table"}),
    "tbody": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "tr": frozenset({"table", "thead", "tbody", "tfoot"}),
    "td": frozenset({"tr"}),
    "th": frozenset({"tr"}),
}
_FOREIGN = frozenset({"svg", "math"})
"""What stands in them may close itself, and is of another language."""
_UNSEEN = ("script", "style", "noscript", "template", "iframe", "noembed", "noframes")
_TAG_NAME = re.compile(_NAME)
_ATTRIBUTE_NAME = re.compile(r"[\w:.-]+")
_OF_TABLE = frozenset({"table", "thead", "tbody", "tfoot", "tr"})
"""In these nothing stands but each other and cells."""
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_ALONE = frozenset({"a", "button", "p"})
"""None stands in another of its kind."""


def markdown_of(html: str) -> str:
    """Raises: ValueError: elements stand in too many others, or too many are not closed."""
    if "\r" in html:
        html = html.replace("\r\n", "\n").replace("\r", "\n")
    markdown = _read(html)
    if markdown is None:
        if is_too_much(html):
            raise ValueError(f"elements in over {HTML_MAX_DEPTH} others, or too many without an end")
        markdown = _read_mended(mended(html))
    return markdown.strip()


def _read(html: str) -> str | None:
    """None: the page is deep, not well-formed, or has elements of which it is not known here where they may stand."""
    cut = iter(_TAG.split(html))
    first = next(cut)
    if "<" in first:
        return None
    page = Page()
    page.text(first)
    open_tags: list[str] = []
    n_foreign = 0
    for row, cells, kind, items, leaf, said, slash, written, attributes, ends, text in zip(*[cut] * 11, strict=True):
        depth = len(open_tags)
        if row or kind:
            if n_foreign or page.is_elsewhere or _is_misplaced(row or kind, open_tags):
                return None
            page.run(row or kind, _HELD.findall(cells or items), depth + 1)
        elif leaf:
            if n_foreign or _is_misplaced(leaf, open_tags):
                return None
            page.leaf(leaf, said, depth + 1)
        elif slash:
            tag = written.lower()
            if not open_tags or open_tags.pop() != tag:
                return None
            page.end(tag, depth)
            if depth == n_foreign:
                n_foreign = 0
        else:
            tag = written.lower()
            if n_foreign:
                if tag in _KNOWN or tag in SKIPPED:
                    return None  # a browser ends the picture or the formula before it
            elif tag in _FOREIGN:
                if ends or (open_tags and open_tags[-1] in _OF_TABLE):
                    return None
                n_foreign = depth + 1
            elif _is_misplaced(tag, open_tags):
                return None
            page.start(tag, attributes, depth + 1)
            if n_foreign and ends:
                page.end(tag, depth + 1)
            elif tag not in VOID:
                if depth == HTML_MAX_DEPTH:
                    return None
                open_tags.append(tag)
                if tag == "pre" and text.startswith("\n"):
                    text = text[1:]  # noqa: PLW2901  # which is none of its own
        if text:
            if "<" in text or (open_tags and open_tags[-1] in _OF_TABLE and not text.isspace()):
                return None
            page.text(text)
    return None if open_tags else page.markdown()


def _is_misplaced(tag: str, open_tags: list[str]) -> bool:
    """Whether a browser would end another element before it, leave it out, or put it elsewhere. Rather too often."""
    if tag not in _KNOWN:
        return True
    above = open_tags[-1] if open_tags else ""
    if tag in _INSIDE:
        return above not in _INSIDE[tag]
    if above in _OF_TABLE:
        return True
    if tag in _ENDS_PARAGRAPH and "p" in open_tags:
        return True
    return (tag in _ALONE and tag in open_tags) or (tag in _HEADINGS and above in _HEADINGS)


def mended(html: str) -> str:
    """As a browser would read it, without what nobody sees: each element is closed, in the order of opening.

    Attributes stand between double quotes, and there is no other "<" in a text.
    """
    tree = LexborHTMLParser(html)
    for node in tree.css(", ".join(_UNSEEN)):
        node.decompose()
    for node in tree.css("xmp, plaintext"):
        node.replace_with(node.text())
    for node in tree.css("*"):
        if not _TAG_NAME.fullmatch(node.tag or ""):
            node.unwrap()
            continue
        for name in node.attributes:
            if not _ATTRIBUTE_NAME.fullmatch(name):
                del node.attrs[name]
    body = tree.body
    return (body.inner_html if body else "") or ""


def _read_mended(html: str) -> str:
    cut = iter(_MENDED_TAG.split(html))
    page = Page()
    page.text(next(cut))
    open_tags: list[str] = []
    for slash, written, attributes, text in zip(cut, cut, cut, cut, strict=True):
        if written is not None:  # and no comment
            tag, depth = written.lower(), len(open_tags)
            if slash:
                page.end(open_tags.pop(), depth)
            else:
                page.start(tag, attributes, depth + 1)
                if tag not in VOID:
                    open_tags.append(tag)
        if text:
            page.text(text)
    return page.markdown()
