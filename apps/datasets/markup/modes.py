"""Where tags are not what they are elsewhere: in code, in formulas, and in what is skipped. Pure."""

import re
from collections.abc import Callable
from typing import Protocol

from apps.datasets.markup.elements import SKIPPED, VOID, attributes_of, is_displayed, is_formula
from apps.datasets.markup.texts import inline_code

_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang)-([\w+#.-]{1,30})")
_LABEL = re.compile(r"[\w+#.-]{1,30}")
_COPY = re.compile(r"\s*Copy(?: code)?\s*\Z")
"""The words of a button that is none."""
_TEX = "application/x-tex"


class Written(Protocol):
    """The page that is written, for what a mode has found."""

    def say(self, text: str) -> None: ...
    def put(self, piece: str) -> None: ...
    def put_block(self, block: str) -> None: ...
    def put_words(self, text: str) -> None: ...
    def put_code(self, code: str, language: str) -> None: ...


class Mode(Protocol):
    """In which tags are not what they are elsewhere, until the element ends that began it."""

    def start(self, tag: str, attributes: str, depth: int) -> None: ...
    def text(self, text: str) -> None: ...
    def end(self, depth: int) -> None: ...
    def finish(self, page: Written) -> None: ...


class _Skipped:
    """Of the page and not of what is said: buttons and pictures that are drawn."""

    def start(self, tag: str, attributes: str, depth: int) -> None:
        pass

    def text(self, text: str) -> None:
        pass

    def end(self, depth: int) -> None:
        pass

    def finish(self, page: Written) -> None:
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

    def finish(self, page: Written) -> None:
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

    def finish(self, page: Written) -> None:
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

    def finish(self, page: Written) -> None:
        if self._tex is None:
            page.say("".join(self._said))
            return
        tex = "".join(self._tex).strip()
        if self._is_displayed:
            page.put_block(f"$${tex}$$")
        else:
            page.put(f"${tex}$")


def mode_of(tag: str, attributes: str) -> Mode:
    if attributes and is_formula(attributes):
        return _Formula(is_displayed=is_displayed(attributes))
    return MODES[tag]()


MODES: dict[str, Callable[[], Mode]] = {
    **dict.fromkeys(SKIPPED, _Skipped),
    **dict.fromkeys(("code", "kbd", "samp"), _Code),
    "pre": _CodeBlock,
    "math": lambda: _Formula(is_displayed=False),
}
