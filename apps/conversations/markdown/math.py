"""Formulas in LaTeX as MathML, which browsers draw by themselves.

The library's own text output is not used: it leaves `<` and `&` of a formula as they are. Its tree is written anew from
a list of allowed elements and attributes, and everything else in it is escaped.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape, unescape
from typing import TYPE_CHECKING

from latex2mathml.converter import convert_to_element

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_FORMULA_CHARS = 1000
KEPT_FORMULAS = 2048
KEPT_CHARS = 200
"""Longer formulas are not kept: MathML is up to 40 times as long as its LaTeX, and all together must stay small."""

# fmt: off
TAGS = frozenset((
    "annotation", "math", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace",
    "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover", "semantics",
))
# fmt: on
_BOOLEAN = re.compile("true|false")
_SMALL_LENGTH = re.compile(r"-?[0-4]?\.?\d{1,4}em")
ATTRIBUTES: dict[str, re.Pattern[str]] = {
    "accent": _BOOLEAN,
    "columnalign": re.compile(r"(?:left|right|center)(?: (?:left|right|center)){0,20}"),
    "display": re.compile("block|inline"),
    "displaystyle": _BOOLEAN,
    "fence": _BOOLEAN,
    "form": re.compile("prefix|infix|postfix"),
    "linethickness": re.compile(r"0(?:px|em)?"),
    "mathvariant": re.compile("normal"),
    "movablelimits": _BOOLEAN,
    "scriptlevel": re.compile(r"[0-3]"),
    "separator": _BOOLEAN,
    "stretchy": _BOOLEAN,
    "width": _SMALL_LENGTH,
}
"""With what their values may be: none of them names a colour, a style, a class or an address."""

_MAX_DEPTH = 60
_CHARACTER = re.compile(r"&#x[0-9A-Fa-f]{5};")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(aligned|align|gathered|gather\*?|equation\*?|multline\*?)\}")
_SPELLED = {"aligned": "align*", "align": "align*", "gathered": "matrix", "gather": "matrix", "gather*": "matrix"}
"""Environments that the library does not know, or numbers; what is on no list here is left out, its content stays."""


_OPERATORS = re.compile(r"\\(arg|argmax|argmin|sgn|tr|Tr|rank|diag|Var|Cov|softmax)(?![A-Za-z])")
"""Names that the library does not know, or only those of packages do."""
_N_PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}


class _NotShown(Exception):
    """A formula with a part missing, or deeper than browsers lay out well."""


def math_html(latex: str, *, is_display: bool) -> str | None:
    """The formula as MathML with its source as annotation; None if it is none that can be read."""
    if len(latex) > MAX_FORMULA_CHARS:
        return None
    return (kept if len(latex) <= KEPT_CHARS else _converted)(latex, is_display)


def _converted(latex: str, is_display: bool) -> str | None:
    try:
        spelled = _OPERATORS.sub(r"\\operatorname{\1}", _ENVIRONMENT.sub(_known_environment, latex))
        tree = convert_to_element(spelled)
        content = "".join(_html(child, 0) for child in tree)
    except Exception:  # the library raises whatever a broken formula leads it to; its source is shown instead
        return None
    display = "block" if is_display else "inline"
    annotation = f'<annotation encoding="application/x-tex">{escape(latex)}</annotation>'
    return f'<math display="{display}"><semantics>{content}{annotation}</semantics></math>'


kept = lru_cache(maxsize=KEPT_FORMULAS)(_converted)
"""The short ones that were asked for last."""


def _known_environment(match: re.Match[str]) -> str:
    name = _SPELLED.get(match[2])
    return f"\\{match[1]}{{{name}}}" if name else ""


def _html(element: Element, depth: int) -> str:
    if depth > _MAX_DEPTH or len(element) != _N_PARTS.get(element.tag, len(element)):
        raise _NotShown
    tag = element.tag if element.tag in TAGS else "mrow"
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in ATTRIBUTES and ATTRIBUTES[name].fullmatch(value)
    )
    text = escape(_CHARACTER.sub(lambda match: unescape(match[0]), element.text or ""))
    children = "".join(_html(child, depth + 1) + escape(child.tail or "") for child in element)
    return f"<{tag}{attributes}>{text}{children}</{tag}>"
