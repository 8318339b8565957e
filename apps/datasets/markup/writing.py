"""Markdown from the tags and texts of a page, written while they come. Pure.

A frame is what stands in a block: the page itself, a quotation, a list, an item, a table, a cell. Text is gathered
until its paragraph ends; marks as bold are closed with each paragraph and opened again in the next.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Protocol

Attributes = dict[str, str]

_RUN = re.compile(r"[ \t\f]+")
_BLANKS = re.compile(r"[ \t\n\f\r]+")
_BROKEN = re.compile(r"[ \t]*\n[ \t\n]*")
_LINE = re.compile(r"\n(?=[^\n])")
_TICKS = re.compile(r"`+")
_MISREAD = re.compile(r"(?:#{1,6}|[*+-])(?=\s|$)|>|```|~~~|-{3}|(?<=\d)[.)](?=\s|$)")
_NUMBERED = re.compile(r"\d{1,9}[.)](?=\s|$)")
_UNSAFE_IN_ADDRESS = re.compile(r"[\s<>]")
_ATTRIBUTE = re.compile(r"""([^\s"'=/]+)(?:\s*=\s*(?:"([^"]*)"|([^\s"']+)))?""")
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang)-([\w+#.-]{1,30})")
_LABEL = re.compile(r"[\w+#.-]{1,30}")
_COPY = re.compile(r"\s*Copy(?: code)?\s*\Z")
"""The words of a button that is none."""
_TEX = "application/x-tex"
_FORMULAS = {"katex", "katex-display", "math-display"}
_DISPLAYED = {"katex-display", "math-display"}


def attributes_of(text: str) -> Attributes:
    """Of what stands between a tag's name and its end. Of two of one name the first counts."""
    found: Attributes = {}
    for name, quoted, bare in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape(quoted or bare))
    return found


@dataclass(slots=True)
class _Frame:
    """`parts`: finished blocks with what stands between them. `last`: what the last one is, where the next cares."""

    tag: str
    parts: list[str] = field(default_factory=list)
    last: str = ""
    is_loose: bool = False
    """Of an item, or a list: an empty line stands between its blocks."""
    number: int | None = None
    """Of the next item; None: they have none."""
    sign: str = "."
    rows: list[list[str]] = field(default_factory=list)
    reaching: dict[int, int] = field(default_factory=dict)
    """Of a table: through how many rows from this one on a cell of a column reaches."""
    n_columns: int = 1
    n_rows: int = 1
    """Of a cell, through which it reaches."""

    def add(self, block: str, between: str = "\n\n", kind: str = "") -> None:
        if self.parts and self.tag != "list":  # what stands between items is known at its end
            self.parts.append(between)
        self.parts.append(block)
        self.last = kind

    def add_below(self, block: str) -> None:
        """Of a list: in its last item, if it has one."""
        if not self.parts:
            self.parts.append(block)
            return
        n = 2 if self.number is None else len(f"{self.number - 1}{self.sign} ")
        self.parts[-1] += _indented(f"\n{block}", n)

    def add_cell(self, text: str, n_columns: int = 1, n_rows: int = 1) -> None:
        """Of a table: in its last row, behind what reaches into it from above."""
        row = self.rows[-1]
        while len(row) in self.reaching:
            row.append("")
        row.append(text)
        if n_columns > 1 or n_rows > 1:
            row += [""] * (n_columns - 1)
            if n_rows > 1:
                self.reaching |= dict.fromkeys(range(len(row) - n_columns, len(row)), n_rows)

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(slots=True)
class _Mark:
    """`at`: the piece of the paragraph with which it begins. `sign` empty: it is marked so already."""

    sign: str
    at: int
    address: str = ""


class _Mode(Protocol):
    """In which tags are not what they are elsewhere, until the element ends that began it."""

    def start(self, tag: str, attributes: str, depth: int) -> None: ...
    def text(self, text: str) -> None: ...
    def end(self, depth: int) -> None: ...
    def finish(self, page: "Page") -> None: ...


class Page:
    """Told of tags and texts in order, each element closed as it was opened; `markdown` at the end."""

    def __init__(self) -> None:
        self._frames = [_Frame("")]
        self._pieces: list[str] = []
        self._marks: list[_Mark] = []
        self._closed = ("", 0)
        self._n_cells = 0
        self._mode: _Mode | None = None
        self._mode_depth = 0

    def start(self, tag: str, attributes: str, depth: int) -> None:
        """`depth`: of elements in which it stands, with itself."""
        if self._mode is not None:
            self._mode.start(tag, attributes, depth)
        elif tag in _MODES or (attributes and is_formula(attributes)):
            self._mode, self._mode_depth = _mode_of(tag, attributes), depth
        elif (handle := _STARTS.get(tag)) is not None:
            handle(self, tag, attributes)

    def end(self, tag: str, depth: int) -> None:
        """`depth`: as at its start."""
        if self._mode is not None:
            if depth > self._mode_depth:
                self._mode.end(depth)
                return
            mode, self._mode = self._mode, None
            mode.finish(self)
            return
        if (handle := _ENDS.get(tag)) is not None:
            handle(self, tag)

    @property
    def is_elsewhere(self) -> bool:
        """In code, a formula, or what is skipped, where tags are not what they are otherwise."""
        return self._mode is not None

    def run(self, tag: str, held: list[tuple[str, str]], depth: int) -> None:
        """A row or a list that holds these elements of `LEAVES` alone, none with attributes, and is not elsewhere."""
        if tag == "tr" and not self._marks and not self._frames[-1].reaching:
            self._end_paragraph()
            self._frames[-1].rows.append([_cell(_said(text)) for _, text in held])
            return
        self.start(tag, "", depth)
        for name, text in held:
            self.leaf(name, text, depth + 1)
        self.end(tag, depth)

    def leaf(self, tag: str, text: str, depth: int) -> None:
        """An element of `LEAVES` without attributes, which holds this text alone."""
        if self._mode is None and not self._marks:
            _LEAF_WRITERS[tag](self, tag, _said(text))
            return
        self.start(tag, "", depth)
        self.text(text)
        self.end(tag, depth)

    def text(self, text: str) -> None:
        """As it stands in the page, with entities."""
        text = _said(text)
        if self._mode is not None:
            self._mode.text(text)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        text = _together(text)
        pieces = self._pieces
        if text[:1] in (" ", "\n") and (not pieces or pieces[-1][-1:] in (" ", "\n")):
            text = text.lstrip(" \n")
        if text:
            pieces.append(text)

    def put(self, piece: str) -> None:
        """In the paragraph as it is."""
        self._pieces.append(piece)

    def put_block(self, block: str, kind: str = "") -> None:
        self._end_paragraph()
        frame = self._frames[-1]
        frame.is_loose = True
        frame.add(block, kind=kind)

    def put_words(self, text: str) -> None:
        """As a paragraph, if there are any."""
        if text.strip():
            self._end_paragraph()
            self.say(text)
            self._end_paragraph()

    def put_code(self, code: str, language: str = "") -> None:
        """A block of it; in a cell, which has one line, in the line."""
        if self._n_cells:
            self.put(inline_code(_BLANKS.sub(" ", code).strip()))
        else:
            self.put_block(fenced(code, language))

    def markdown(self) -> str:
        self._end_paragraph()
        return self._frames[0].text

    # --- Paragraphs and marks -----------------------------------------------------------------------------------------

    def _end_paragraph(self) -> None:
        pieces = self._pieces
        if not pieces:
            return
        for mark in reversed(self._marks):
            self._wrap(mark)
            mark.at = 0
        text = "".join(pieces).strip(" \n")
        pieces.clear()
        self._closed = ("", 0)
        if text:
            frame = self._frames[-1]
            frame.add(text if frame.tag in ("heading", "cell") else not_misread(text))

    def _wrap(self, mark: _Mark) -> None:
        """What was said since it began. Blanks at its ends stand outside."""
        pieces = self._pieces
        said = "".join(pieces[mark.at :])
        if not mark.sign or not (core := said.strip(" \n")):
            return
        del pieces[mark.at :]
        at = said.index(core)
        before, after = said[:at], said[at + len(core) :]
        if mark.sign == "a":
            core = f"[{core}]({mark.address})"
        elif not before and self._closed == (mark.sign, len(pieces)):
            core = f"{pieces.pop()[: -len(mark.sign)]}{core}{mark.sign}"  # two that touch are one
        else:
            core = f"{mark.sign}{core}{mark.sign}"
        pieces += [part for part in (before, core) if part]
        self._closed = (mark.sign, len(pieces))
        if after:
            pieces.append(after)

    def _start_mark(self, tag: str, attributes: str) -> None:
        sign = _SIGNS[tag]
        is_marked = any(mark.sign == sign for mark in self._marks)
        self._marks.append(_Mark("" if is_marked else sign, len(self._pieces)))

    def _start_link(self, tag: str, attributes: str) -> None:
        found = attributes_of(attributes) if attributes else {}
        address = found.get("href", "").strip()
        sign = "a" if address else ""
        self._marks.append(_Mark(sign, len(self._pieces), _address(address, found.get("title", ""))))

    def _end_mark(self, tag: str) -> None:
        self._wrap(self._marks.pop())

    def _start_summary(self, tag: str, attributes: str) -> None:
        self._end_paragraph()
        self._start_mark("b", "")

    def _end_summary(self, tag: str) -> None:
        self._end_mark(tag)
        self._end_paragraph()

    def _quote(self, tag: str, attributes: str = "") -> None:
        self.put('"')

    def _break(self, tag: str, attributes: str) -> None:
        pieces = self._pieces
        if not pieces:
            return
        if pieces[-1] == "  \n":
            self._end_paragraph()  # two of them
            return
        pieces[-1] = pieces[-1].rstrip(" \n")
        pieces.append("  \n")

    def _image(self, tag: str, attributes: str) -> None:
        found = attributes_of(attributes)
        words = _BLANKS.sub(" ", found.get("alt", "")).strip()
        if address := found.get("src", "").strip():
            self.put(f"![{words}]({_address(address, found.get('title', ''))})")
        else:
            self.say(words)

    def _tick(self, tag: str, attributes: str) -> None:
        """A box that is ticked or not, as in a list of things to do. Other fields hold nothing that was said."""
        found = attributes_of(attributes)
        if found.get("type", "").lower() == "checkbox":
            self.put("[x] " if "checked" in found else "[ ] ")

    # --- Blocks -------------------------------------------------------------------------------------------------------

    def _block(self, tag: str, attributes: str = "") -> None:
        self._end_paragraph()

    def _paragraph(self, tag: str, attributes: str) -> None:
        self._end_paragraph()
        self._frames[-1].is_loose = True

    def _rule(self, tag: str, attributes: str) -> None:
        self.put_block("---")

    def _open(self, frame: _Frame) -> None:
        self._end_paragraph()
        self._frames.append(frame)

    def _close(self) -> _Frame:
        self._end_paragraph()
        return self._frames.pop()

    def _start_heading(self, tag: str, attributes: str) -> None:
        self._open(_Frame("heading"))

    def _end_heading(self, tag: str) -> None:
        if text := _one_line(self._close().text):
            self.put_block(f"{'#' * int(tag[1])} {text}")

    def _start_quotation(self, tag: str, attributes: str) -> None:
        self._open(_Frame(tag))

    def _end_quotation(self, tag: str) -> None:
        if text := self._close().text:
            self.put_block("\n".join(f"> {line}" if line else ">" for line in text.split("\n")))

    def _start_list(self, tag: str, attributes: str) -> None:
        frame = _Frame("list")
        if tag == "ol":
            frame.number = _number(attributes_of(attributes).get("start", ""), 1) if attributes else 1
        self._open(frame)
        if tag == "ol" and self._frames[-2].last == "ol.":
            frame.sign = ")"  # else the two would be one

    def _end_list(self, tag: str) -> None:
        made = self._close()
        if not (items := made.parts):
            return
        outer = self._frames[-1]
        block = ("\n\n" if made.is_loose else "\n").join(items)
        if outer.tag == "list":
            outer.add_below(block)
            return
        is_tight = outer.tag == "li" and not (outer.is_loose or made.is_loose)
        outer.add(block, "\n" if is_tight else "\n\n", f"{tag}{made.sign}")

    def _start_item(self, tag: str, attributes: str) -> None:
        self._open(_Frame("li"))

    def _end_item(self, tag: str) -> None:
        item = self._close()
        self._frames[-1].is_loose |= item.is_loose and self._frames[-1].tag == "list"
        self._add_item(item.text)

    def _add_item(self, text: str) -> None:
        around = self._frames[-1]
        if around.tag != "list":
            around.add(_item("-", text), "\n" if around.last == "li" else "\n\n", "li")
        elif self._n_cells:
            around.parts.append(text)
        elif around.number is None:
            around.parts.append(_item("-", text))
        else:
            around.parts.append(_item(f"{around.number}{around.sign}", text))
            around.number += 1

    # --- Elements that hold a text alone ---

    def _leaf_paragraph(self, tag: str, text: str) -> None:
        self._end_paragraph()
        frame = self._frames[-1]
        frame.is_loose = True
        if text := _together(text).strip(" \n"):
            frame.add(text if frame.tag in ("heading", "cell") else not_misread(text))

    def _leaf_item(self, tag: str, text: str) -> None:
        self._end_paragraph()
        text = _together(text).strip(" \n")
        self._add_item(not_misread(text) if text else "")

    def _leaf_cell(self, tag: str, text: str) -> None:
        self._end_paragraph()
        table = self._frames[-1]
        text = _cell(text)
        if table.tag == "table" and table.rows:
            table.add_cell(text)
        elif text:
            self.put_block(text)

    def _leaf_code(self, tag: str, text: str) -> None:
        if text:
            self.put(inline_code(text.replace("\n", " ")))

    # --- Tables -------------------------------------------------------------------------------------------------------

    def _start_table(self, tag: str, attributes: str) -> None:
        self._open(_Frame("table"))

    def _start_row(self, tag: str, attributes: str) -> None:
        self._end_paragraph()
        if (table := self._frames[-1]).tag == "table":
            table.rows.append([])

    def _end_row(self, tag: str) -> None:
        self._end_paragraph()
        if (table := self._frames[-1]).tag == "table" and table.reaching:
            table.reaching = {column: n - 1 for column, n in table.reaching.items() if n > 1}

    def _start_cell(self, tag: str, attributes: str) -> None:
        frame = _Frame("cell")
        if "span" in attributes.lower():
            found = attributes_of(attributes)
            frame.n_columns, frame.n_rows = (_span(found.get(name, "")) for name in ("colspan", "rowspan"))
        self._open(frame)
        self._n_cells += 1

    def _end_cell(self, tag: str) -> None:
        cell = self._close()
        self._n_cells -= 1
        table = self._frames[-1]
        if table.tag == "table" and table.rows:
            table.add_cell(_one_line(cell.text), cell.n_columns, cell.n_rows)
        elif cell.parts:
            self.put_block(cell.text)

    def _end_table(self, tag: str) -> None:
        table = self._close()
        if table.parts:
            self.put_block(table.text)  # its caption
        rows = [row for row in table.rows if row]
        if self._n_cells:
            self.say(" " + " ".join(cell for row in rows for cell in row if cell) + " ")
        elif rows:
            self.put_block(_table(rows))


_SPAN_MAX = 100


def _span(written: str) -> int:
    """From 1."""
    return max(1, min(_number(written, 1), _SPAN_MAX))


def _number(written: str, otherwise: int) -> int:
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else otherwise


def _table(rows: list[list[str]]) -> str:
    n_columns = max(map(len, rows))
    lines = []
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in row] + [""] * (n_columns - len(row))
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, f"| {' | '.join(['---'] * n_columns)} |")
    return "\n".join(lines)


def _said(text: str) -> str:
    return unescape(text) if "&" in text else text


def _together(text: str) -> str:
    """Blanks become one; a line that ends stays one, as pages of chats mean it."""
    if "\n" in text:
        text = _BROKEN.sub("\n", text)
    if "  " in text or "\t" in text or "\f" in text:
        text = _RUN.sub(" ", text)
    return text


def _cell(text: str) -> str:
    return _one_line(_together(text)).strip(" ")


def _item(sign: str, text: str) -> str:
    return f"{sign} {_indented(text, len(sign) + 1)}" if text else sign


def _indented(text: str, n: int) -> str:
    """Without its first line, and without empty ones."""
    return _LINE.sub("\n" + " " * n, text) if "\n" in text else text


def _one_line(text: str) -> str:
    return _BROKEN.sub(" ", text) if "\n" in text else text


def _address(address: str, title: str) -> str:
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


# --- Modes ------------------------------------------------------------------------------------------------------------


class _Skipped:
    """Of the page and not of what is said: buttons and pictures that are drawn."""

    def start(self, tag: str, attributes: str, depth: int) -> None:
        pass

    def text(self, text: str) -> None:
        pass

    def end(self, depth: int) -> None:
        pass

    def finish(self, page: Page) -> None:
        pass


class _Code:
    """In a line: all text as it is, without marks."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def start(self, tag: str, attributes: str, depth: int) -> None:
        if tag == "br":
            self._said.append(" ")

    def text(self, text: str) -> None:
        self._said.append(text)

    def end(self, depth: int) -> None:
        pass

    def finish(self, page: Page) -> None:
        if code := "".join(self._said).replace("\n", " "):
            page.put(inline_code(code))


class _CodeBlock:
    """What stands in its `code` elements and between them, or all of it if it has none.

    Before it may stand a head, with the name of the language, if no class says that, or with more that was said.
    """

    def __init__(self) -> None:
        self._head: list[str] = []
        self._code: list[str] | None = None
        self._tail: list[str] = []
        self._n_inside = 0
        self._code_depth = 0
        self._skip_depth = 0
        self._language = ""

    def start(self, tag: str, attributes: str, depth: int) -> None:
        if tag == "br":
            self.text("\n")
        if tag in VOID:
            return
        self._n_inside += 1
        if tag in SKIPPED and not self._skip_depth:
            self._skip_depth = depth
        elif tag == "code" and not self._code_depth:
            self._code_depth = depth
            if self._code is None:
                self._code = []
                if found := _LANGUAGE.search(attributes_of(attributes).get("class", "")):
                    self._language = found[1]

    def text(self, text: str) -> None:
        if self._skip_depth:
            return
        if self._code is None:
            self._head.append(text)
        elif self._code_depth or not self._n_inside:
            self._code.append(text)
        else:
            self._tail.append(text)

    def end(self, depth: int) -> None:
        self._n_inside -= 1
        if depth == self._skip_depth:
            self._skip_depth = 0
        if depth == self._code_depth:
            self._code_depth = 0

    def finish(self, page: Page) -> None:
        if self._code is None:
            self._head, self._code = [], self._head
        code = "".join(self._code)
        head = _COPY.sub("", "".join(self._head)).strip()
        is_label = bool(code.strip() and (head == self._language or (not self._language and _LABEL.fullmatch(head))))
        if not is_label:
            page.put_words(head)
        if code.strip():
            page.put_code(code, head if is_label else self._language)
        page.put_words("".join(self._tail))


class _Formula:
    """Its TeX between dollars, where it has any."""

    def __init__(self, *, is_displayed: bool) -> None:
        self._is_displayed = is_displayed
        self._said: list[str] = []
        self._tex: list[str] | None = None
        self._tex_depth = 0

    def start(self, tag: str, attributes: str, depth: int) -> None:
        if self._tex is None and tag == "annotation" and attributes_of(attributes).get("encoding") == _TEX:
            self._tex, self._tex_depth = [], depth

    def text(self, text: str) -> None:
        if self._tex_depth:
            assert self._tex is not None  # noqa: S101  # it has begun
            self._tex.append(text)
        else:
            self._said.append(text)

    def end(self, depth: int) -> None:
        if depth == self._tex_depth:
            self._tex_depth = 0

    def finish(self, page: Page) -> None:
        if self._tex is None:
            page.say("".join(self._said))
            return
        tex = "".join(self._tex).strip()
        if self._is_displayed:
            page.put_block(f"$${tex}$$")
        else:
            page.put(f"${tex}$")


def is_formula(attributes: str) -> bool:
    return ("katex" in attributes or "math-display" in attributes) and bool(_classes(attributes) & _FORMULAS)


def _classes(attributes: str) -> set[str]:
    return set(attributes_of(attributes).get("class", "").split())


def _mode_of(tag: str, attributes: str) -> _Mode:
    if attributes and is_formula(attributes):
        return _Formula(is_displayed=bool(_classes(attributes) & _DISPLAYED))
    return _MODES[tag]()


SKIPPED = frozenset({
    "button", "svg", "select", "datalist", "audio", "video", "canvas", "object", "iframe", "progress", "meter",
    "script", "style", "noscript", "template", "noembed", "noframes", "title", "head",
})  # fmt: skip
"""Elements of which nothing is said."""
VOID = frozenset({
    "br", "hr", "img", "input", "wbr", "area", "base", "col", "embed", "link", "meta", "param", "source", "track",
})  # fmt: skip
"""Elements that hold nothing, and have no end."""
_MODES: dict[str, Callable[[], _Mode]] = {
    **dict.fromkeys(SKIPPED, _Skipped),
    **dict.fromkeys(("code", "kbd", "samp"), _Code),
    "pre": _CodeBlock,
    "math": lambda: _Formula(is_displayed=False),
}
_SIGNS = {"strong": "**", "b": "**", "em": "*", "i": "*", "var": "*", "del": "~~", "s": "~~", "strike": "~~"}
_BLOCKS = (
    "div", "section", "article", "header", "footer", "main", "aside", "nav", "figure", "figcaption", "address", "dl",
    "dt", "dd", "details", "fieldset", "legend", "form", "center", "hgroup", "caption", "option", "textarea", "dialog",
    "search", "body", "html",
)  # fmt: skip
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LISTS = ("ul", "ol", "menu", "dir")
_STARTS: dict[str, Callable[[Page, str, str], None]] = {
    **dict.fromkeys(_BLOCKS, Page._block),
    **dict.fromkeys(_HEADINGS, Page._start_heading),
    **dict.fromkeys(_LISTS, Page._start_list),
    **dict.fromkeys(_SIGNS, Page._start_mark),
    **dict.fromkeys(("td", "th"), Page._start_cell),
    "p": Page._paragraph,
    "br": Page._break,
    "hr": Page._rule,
    "li": Page._start_item,
    "blockquote": Page._start_quotation,
    "a": Page._start_link,
    "img": Page._image,
    "q": Page._quote,
    "input": Page._tick,
    "summary": Page._start_summary,
    "table": Page._start_table,
    "tr": Page._start_row,
}
_ENDS: dict[str, Callable[[Page, str], None]] = {
    **dict.fromkeys((*_BLOCKS, "p"), Page._block),
    **dict.fromkeys(_HEADINGS, Page._end_heading),
    **dict.fromkeys(_LISTS, Page._end_list),
    **dict.fromkeys((*_SIGNS, "a"), Page._end_mark),
    **dict.fromkeys(("td", "th"), Page._end_cell),
    "li": Page._end_item,
    "tr": Page._end_row,
    "blockquote": Page._end_quotation,
    "q": Page._quote,
    "summary": Page._end_summary,
    "table": Page._end_table,
}
_LEAF_WRITERS: dict[str, Callable[[Page, str, str], None]] = {
    "p": Page._leaf_paragraph,
    "li": Page._leaf_item,
    "td": Page._leaf_cell,
    "th": Page._leaf_cell,
    "code": Page._leaf_code,
}
LEAVES = tuple(_LEAF_WRITERS)
"""Elements that are written at one go if they hold but a text."""
