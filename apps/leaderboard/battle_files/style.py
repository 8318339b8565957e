"""How an answer is written, as far as it sways voters: its length and its Markdown. Pure.

Source: FastChat, fastchat/serve/monitor/add_markdown_info.py (what is counted) and elo_analysis.py (the differences).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FEATURES = ("length", "headings", "lists", "bold")
NAN = float("nan")
UNKNOWN = (NAN,) * len(FEATURES)

_METADATA = {
    "sum_assistant_{side}_tokens": "length",
    "header_count_{side}": "headings",
    "list_count_{side}": "lists",
    "bold_count_{side}": "bold",
}
"""Where files have the counts of both sides."""
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LIST = re.compile(r"^[ \t]*(?:\d+\.|[-*+])\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")

Counts = tuple[float, ...]
"""In the order of `FEATURES`."""


def counts_of(answers: Iterable[str], n_tokens: float | None = None) -> Counts:
    """Of all answers of one side. The length is in tokens if they are known, and else in characters."""
    texts = list(answers)
    plain = [_CODE.sub("", text) for text in texts]
    length = float(sum(map(len, texts))) if n_tokens is None else n_tokens
    return length, *(float(sum(len(kind.findall(text)) for text in plain)) for kind in (_HEADING, _LIST, _BOLD))


def difference(a: Counts, b: Counts) -> Counts:
    """Between -1 and 1 for each feature: (a - b) / (a + b + 1)."""
    return tuple((of_a - of_b) / (of_a + of_b + 1) for of_a, of_b in zip(a, b, strict=True))


def style_of(row: Mapping[str, Any]) -> Counts:
    """The difference of a row's answers; `UNKNOWN` where nothing is known of them."""
    sides = counts_in(row)
    return UNKNOWN if sides is None else difference(*sides)


def counts_in(row: Mapping[str, Any]) -> tuple[Counts, Counts] | None:
    """Of both sides of a row, by its `conv_metadata` or its conversations."""
    metadata = row.get("conv_metadata")
    sides = [_counted(metadata, side) for side in "ab"] if isinstance(metadata, Mapping) else []
    if not sides or None in sides:
        sides = [_read(row.get(f"conversation_{side}")) for side in "ab"]
    a, b = sides
    return None if a is None or b is None else (a, b)


def metadata_of(a: Counts, b: Counts) -> dict[str, float]:
    """As `style_of` reads them."""
    return {
        form.format(side=side): counts[FEATURES.index(feature)]
        for side, counts in (("a", a), ("b", b))
        for form, feature in _METADATA.items()
    }


def _counted(metadata: Mapping[str, Any], side: str) -> Counts | None:
    counts = [total_of(metadata.get(form.format(side=side))) for form in _METADATA]
    return None if None in counts else tuple(count for count in counts if count is not None)


def total_of(count: Any) -> float | None:
    """A number, or numbers by kind, of which the sum is meant."""
    parts = list(count.values()) if isinstance(count, Mapping) else [count]
    if not all(isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part < 1e12 for part in parts):
        return None
    return float(sum(parts))


def _read(turns: Any) -> Counts | None:
    answers = [turn for turn in turns or () if turn.get("role") == "assistant"]
    if not answers:
        return None
    tokens = [turn.get("num_tokens") for turn in answers]
    return counts_of((str(turn.get("content") or "") for turn in answers), _known_total(tokens))


def _known_total(tokens: Sequence[Any]) -> float | None:
    totals = [total_of(count) for count in tokens]
    return None if None in totals else sum(total for total in totals if total is not None)
