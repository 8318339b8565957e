"""Markdown from the tags and texts of a page, written while they come. Pure.

A frame is what stands in a block: the page itself, a quotation, a list, an item, a table, a cell. Text is gathered
until its paragraph ends; marks as bold are closed with each paragraph and opened again in the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from apps.datasets.markup.elements import attributes_of, is_formula, number_of, span_of
from apps.datasets.markup.modes import MODES, Mode, mode_of
from apps.datasets.markup.texts import (
    address_of,
    blanks_together,
    cell_text,
    decoded,
    fenced,
    indented,
    inline_code,
    item,
    not_misread,
    one_line,
    quoted,
    table_of,
    together,
)


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
        self.parts[-1] += indented(f"\n{block}", n)

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


class Page:
    """Told of tags and texts in order, each element closed as it was opened; `markdown` at the end."""

    def __init__(self) -> None:
        self._frames = [_Frame("")]
        self._pieces: list[str] = []
        self._marks: list[_Mark] = []
        self._closed = ("", 0)
        self._n_cells = 0
        self._mode: Mode | None = None
        self._mode_depth = 0

    def start(self, tag: str, attributes: str, depth: int) -> None:
        """`depth`: of elements in which it stands, with itself."""
        if self._mode is not None:
            self._mode.start(tag, attributes, depth)
        elif tag in MODES or (attributes and is_formula(attributes)):
            self._mode, self._mode_depth = mode_of(tag, attributes), depth
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
            self._frames[-1].rows.append([cell_text(decoded(text)) for _, text in held])
            return
        self.start(tag, "", depth)
        for name, text in held:
            self.leaf(name, text, depth + 1)
        self.end(tag, depth)

    def leaf(self, tag: str, text: str, depth: int) -> None:
        """An element of `LEAVES` without attributes, which holds this text alone."""
        if self._mode is None and not self._marks:
            _LEAF_WRITERS[tag](self, tag, decoded(text))
            return
        self.start(tag, "", depth)
        self.text(text)
        self.end(tag, depth)

    def text(self, text: str) -> None:
        """As it stands in the page, with entities."""
        text = decoded(text)
        if self._mode is not None:
            self._mode.text(text)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        text = together(text)
        pieces = self._pieces
        if text[:1] in (" ", "\n") and (not pieces or pieces[-1][-1:] in (" ", "\n")):
            text = text.lstrip(" \n")
        if text:
            pieces.append(text)

    def put(self, piece: str) -> None:
        """In the paragraph as it is."""
        self._pieces.append(piece)

    def put_block(self, block: str) -> None:
        self._end_paragraph()
        frame = self._frames[-1]
        frame.is_loose = True
        frame.add(block)

    def put_words(self, text: str) -> None:
        """As a paragraph, if there are any."""
        if text.strip():
            self._end_paragraph()
            self.say(text)
            self._end_paragraph()

    def put_code(self, code: str, language: str = "") -> None:
        """A block of it; in a cell, which has one line, in the line."""
        if self._n_cells:
            self.put(inline_code(blanks_together(code)))
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
        self._marks.append(_Mark(sign, len(self._pieces), address_of(address, found.get("title", ""))))

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
        words = blanks_together(found.get("alt", ""))
        if address := found.get("src", "").strip():
            self.put(f"![{words}]({address_of(address, found.get('title', ''))})")
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
        if text := one_line(self._close().text):
            self.put_block(f"{'#' * int(tag[1])} {text}")

    def _start_quotation(self, tag: str, attributes: str) -> None:
        self._open(_Frame(tag))

    def _end_quotation(self, tag: str) -> None:
        if text := self._close().text:
            self.put_block(quoted(text))

    def _start_list(self, tag: str, attributes: str) -> None:
        frame = _Frame("list")
        if tag == "ol":
            frame.number = number_of(attributes_of(attributes).get("start", ""), 1) if attributes else 1
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
            around.add(item("-", text), "\n" if around.last == "li" else "\n\n", "li")
        elif self._n_cells:
            around.parts.append(text)
        elif around.number is None:
            around.parts.append(item("-", text))
        else:
            around.parts.append(item(f"{around.number}{around.sign}", text))
            around.number += 1

    # --- Elements that hold a text alone ---

    def _leaf_paragraph(self, tag: str, text: str) -> None:
        self._end_paragraph()
        frame = self._frames[-1]
        frame.is_loose = True
        if text := together(text).strip(" \n"):
            frame.add(text if frame.tag in ("heading", "cell") else not_misread(text))

    def _leaf_item(self, tag: str, text: str) -> None:
        self._end_paragraph()
        text = together(text).strip(" \n")
        self._add_item(not_misread(text) if text else "")

    def _leaf_cell(self, tag: str, text: str) -> None:
        self._end_paragraph()
        table = self._frames[-1]
        text = cell_text(text)
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
            frame.n_columns, frame.n_rows = (span_of(found.get(name, "")) for name in ("colspan", "rowspan"))
        self._open(frame)
        self._n_cells += 1

    def _end_cell(self, tag: str) -> None:
        cell = self._close()
        self._n_cells -= 1
        table = self._frames[-1]
        if table.tag == "table" and table.rows:
            table.add_cell(one_line(cell.text), cell.n_columns, cell.n_rows)
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
            self.put_block(table_of(rows))


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
