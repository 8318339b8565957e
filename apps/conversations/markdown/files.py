"""Text files in what a person wrote: a line with their name, and a fence around their text. They are shown folded.

    File: notes.txt
    ```
    the text of the file
    ```

The page writes them so (static/js/lib/attach.js); models read them as they are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

MARK = "File: "
_FENCE = re.compile("`{3,}")


@dataclass(frozen=True, slots=True)
class FileText:
    name: str
    text: str

    @property
    def html(self) -> str:
        n_lines = self.text.count("\n") + 1
        lines = "1 line" if n_lines == 1 else f"{n_lines:,} lines"
        size = f'<span class="file__size">{lines}</span>'
        return (
            f'<details class="file"><summary>{escape(self.name)} {size}</summary>'
            f"<pre>{escape(self.text)}</pre></details>"
        )


def parts_of(text: str) -> Iterator[str | FileText]:
    """What was written and the files in it, in order. A file that is not closed is not one."""
    lines = text.split("\n")
    written: list[str] = []
    number = 0
    while number < len(lines):
        end = _end_of_file(lines, number)
        if end is None:
            written.append(lines[number])
            number += 1
            continue
        if any(line.strip() for line in written):
            yield "\n".join(written)
        written = []
        yield FileText(lines[number].removeprefix(MARK).strip(), "\n".join(lines[number + 2 : end]))
        number = end + 1
    if any(line.strip() for line in written):
        yield "\n".join(written)


def _end_of_file(lines: list[str], number: int) -> int | None:
    """The line of the closing fence, if a file begins at this line."""
    if not lines[number].startswith(MARK) or number + 2 >= len(lines):
        return None
    fence = lines[number + 1]
    if not _FENCE.fullmatch(fence):
        return None
    try:
        return lines.index(fence, number + 2)
    except ValueError:
        return None
