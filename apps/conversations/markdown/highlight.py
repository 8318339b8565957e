"""Colour code by CSS classes (`hl-…`, styled in static/css/code.css). Never emits inline style.

Only languages on the list are touched: some of Pygments' many lexers take seconds for a few kilobytes of hostile text
(measured: makefile 6.5 s for 15 KB), the ones here took under 0.3 s each for the same inputs.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

CLASS_PREFIX = "hl-"
MAX_HIGHLIGHTED_CHARS = 10_000

# fmt: off
LANGUAGES = frozenset((
    "bash", "c", "c#", "c++", "cpp", "cs", "csharp", "css", "diff", "docker", "dockerfile", "go", "golang",
    "haskell", "hs", "html", "ini", "java", "javascript", "js", "json", "jsx", "kotlin", "kt", "lua", "perl", "php",
    "pl", "powershell", "ps1", "py", "py3", "python", "python3", "r", "rb", "rs", "ruby", "rust", "scala", "sh",
    "shell", "sql", "swift", "toml", "ts", "tsx", "typescript", "xml", "yaml", "yml", "zsh",
))
# fmt: on

_FORMATTER = HtmlFormatter(nowrap=True, classprefix=CLASS_PREFIX)


def highlighted(code: str, language: str) -> str:
    """Return `code` as HTML: coloured when the language is known and the text not too long, else just escaped."""
    if language.lower() not in LANGUAGES or len(code) > MAX_HIGHLIGHTED_CHARS:
        return escape(code)
    return str(highlight(code, _lexer(language.lower()), _FORMATTER))


@lru_cache(maxsize=len(LANGUAGES))
def _lexer(language: str) -> Any:
    # stripnl and ensurenl would change the text that the copy button copies.
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)
