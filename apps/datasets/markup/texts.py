"""Texts as Markdown writes them. Pure."""

import re
from html import unescape

_RUN = re.compile(r"[ \t\f]+")
_BLANKS = re.compile(r"[ \t\n\f\r]+")
_BROKEN = re.compile(r"[ \t]*\n[ \t\n]*")
_LINE = re.compile(r"\n(?=[^\n])")
_TICKS = re.compile(r"`+")
_MISREAD = re.compile(r"(?:#{1,6}|[*+-])(?=\s|$)|>|```|~~~|-{3}|(?<=\d)[.)](?=\s|$)")
_NUMBERED = re.compile(r"\d{1,9}[.)](?=\s|$)")
_UNSAFE_IN_ADDRESS = re.compile(r"[\s<>]")
_INDENTED_MAX_CHARS = 8_000_000
"""More comes only of pages made for it: of short lines, deep in lists."""
_FILLED_MAX = 100_000
"""Cells of a table."""


def decoded(text: str) -> str:
    return unescape(text) if "&" in text else text


def together(text: str) -> str:
    """Blanks become one; a line that ends stays one, as pages of chats mean it."""
    if "\n" in text:
        text = _BROKEN.sub("\n", text)
    if "  " in text or "\t" in text or "\f" in text:
        text = _RUN.sub(" ", text)
    return text


def cell_text(text: str) -> str:
    return one_line(together(text)).strip(" ")


def item(sign: str, text: str) -> str:
    return f"{sign} {indented(text, len(sign) + 1)}" if text else sign


def indented(text: str, n: int) -> str:
    """Without its first line, and without empty ones. Raises: ValueError: it is too long."""
    return _LINE.sub("\n" + " " * n, bounded(text)) if "\n" in text else text


def quoted(text: str) -> str:
    """Raises: ValueError: it is too long."""
    return "\n".join(f"> {line}" if line else ">" for line in bounded(text).split("\n"))


def bounded(text: str) -> str:
    if len(text) > _INDENTED_MAX_CHARS:
        raise ValueError(f"lists or quotations of over {_INDENTED_MAX_CHARS:,} characters with their indents")
    return text


def one_line(text: str) -> str:
    return _BROKEN.sub(" ", text) if "\n" in text else text


def address_of(address: str, title: str) -> str:
    if _UNSAFE_IN_ADDRESS.search(address) or address.count("(") != address.count(")"):
        address = f"<{_BLANKS.sub(' ', address).replace('<', '%3C').replace('>', '%3E')}>"
    if title:
        title = _BLANKS.sub(" ", title).replace('"', '\\"')
        return f'{address} "{title}"'
    return address


def not_misread(text: str) -> str:
    """A paragraph that begins as a heading, an item or a quotation would."""
    if text[0].isdigit():
        if found := _NUMBERED.match(text):
            at = found.end() - 1
            return f"{text[:at]}\\{text[at:]}"
    elif not text[0].isalpha() and _MISREAD.match(text):
        return f"\\{text}"
    return text


def inline_code(code: str) -> str:
    """Between more ticks than stand in it."""
    if "`" not in code:
        return f"`{code}`"
    ticks = "`" * (1 + max(map(len, _TICKS.findall(code))))
    blank = " " if code[0] == "`" or code[-1] == "`" else ""
    return f"{ticks}{blank}{code}{blank}{ticks}"


def fenced(code: str, language: str) -> str:
    n_ticks = max(map(len, _TICKS.findall(code)), default=0) if "```" in code else 0
    fence = "`" * max(3, n_ticks + 1)
    code = code.strip("\n")
    return f"{fence}{language}\n{code}\n{fence}" if code else f"{fence}{language}\n{fence}"


def table_of(rows: list[list[str]]) -> str:
    """A short row may stay so in Markdown; it is filled for people to read, unless with very many cells."""
    n_columns = max(map(len, rows))
    is_filled = n_columns * len(rows) <= _FILLED_MAX
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.replace("|", "\\|") for cell in row]
        if number == 0 or is_filled:
            cells += [""] * (n_columns - len(row))
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, f"| {' | '.join(['---'] * n_columns)} |")
    return "\n".join(lines)


def blanks_together(text: str) -> str:
    """In one line."""
    return _BLANKS.sub(" ", text).strip()
