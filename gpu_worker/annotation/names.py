"""`python -m gpu_worker find-names MODEL`: where names of people stand in texts, by a token-classification model.

Answers a list of texts with a list of [begin, end] in letters for each. A long text is read in windows that overlap.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_worker.annotation.lines import serve_lines

PEOPLE = frozenset({"PER", "PERSON", "PATIENT", "FIRSTNAME", "LASTNAME", "GIVENNAME", "SURNAME", "NAME"})
"""What models call them, without the B- and I- of the beginning and the rest of a name."""
WINDOWS_AT_ONCE = 16
OVERLAP = 4
"""Neighbouring windows share this part of their length, so that no name is cut in two in both."""
_BETWEEN = re.compile(r"[ \t\u00a0.'’-]{1,2}")
_WORD = re.compile(r"\w")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class NameFinder:
    """`people`: the outputs of the model that stand for names of people."""

    model: Any
    tokenizer: Any
    people: frozenset[int]
    window: int

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        cut = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.window,
            stride=self.window // OVERLAP,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        windows = [
            _Window(owner, ids, offsets)
            for owner, ids, offsets in zip(
                cut["overflow_to_sample_mapping"], cut["input_ids"], cut["offset_mapping"], strict=True
            )
            if ids
        ]
        found: list[list[Span]] = [[] for _ in texts]
        for begin in range(0, len(windows), WINDOWS_AT_ONCE):
            some = windows[begin : begin + WINDOWS_AT_ONCE]
            for window, labels in zip(some, self._labels([one.ids for one in some]), strict=True):
                found[window.owner] += _of_people(labels, window.offsets, self.people)
        return [names_of(text, spans) for text, spans in zip(texts, found, strict=True)]

    def _labels(self, windows: list[list[int]]) -> list[list[int]]:
        import torch

        padded = self.tokenizer.pad({"input_ids": windows}, padding=True, padding_side="right", return_tensors="pt")
        with torch.inference_mode():
            labels: list[list[int]] = self.model(**padded).logits.argmax(-1).tolist()
        return labels


@dataclass(frozen=True, slots=True)
class _Window:
    """`owner`: number of the text of which it is a part."""

    owner: int
    ids: list[int]
    offsets: list[Span]


def main(argv: list[str]) -> int:
    return serve_lines(argv, "find-names", load, lambda finder, texts: finder.find(texts) if texts else [])


def load(folder: Path) -> NameFinder:
    """Raises: ModelRefused."""
    import torch
    from transformers import AutoModelForTokenClassification

    from gpu_worker.classification.model import window_of
    from gpu_worker.modeling.folder_files import load_tokenizer, load_weights
    from gpu_worker.modeling.source import Head, ModelRefused, ModelSpec, open_source

    spec = ModelSpec(str(folder), folder.name)
    found = open_source(spec, head=Head.TOKENS)
    tokenizer = load_tokenizer(found, spec.name)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise ModelRefused(f"{spec.name}: its tokenizer cannot cut long texts into windows and fill up short ones")
    model = load_weights(AutoModelForTokenClassification, found, spec, torch.float32, [torch.device("cpu")])
    labels: dict[int, str] = model.config.id2label
    people = frozenset(number for number, label in labels.items() if _kind(label) in PEOPLE)
    if not people:
        named = ", ".join(labels.values())[:200]
        raise ModelRefused(f"{spec.name}: none of its labels stands for names of people: {named}")
    return NameFinder(model, tokenizer, people, window_of(model, tokenizer))


def _kind(label: str) -> str:
    return re.sub(r"^[BIELSU][-_]", "", label.upper()).replace("_", "").replace("-", "")


def _of_people(labels: Iterable[int], offsets: Iterable[Span], people: frozenset[int]) -> Iterator[Span]:
    # Padding has no offset, and control tokens have an empty one.
    for label, (begin, end) in zip(labels, offsets, strict=False):
        if label in people and end > begin:
            yield begin, end


def names_of(text: str, tokens: Iterable[Span]) -> list[Span]:
    """Tokens of people made whole words, and names of words that stand side by side made one. In order."""
    names: list[Span] = []
    for begin, end in sorted({_whole_word(text, *token) for token in tokens}):
        if begin == end:
            continue
        if names and (begin <= names[-1][1] or _BETWEEN.fullmatch(text, names[-1][1], begin)):
            names[-1] = names[-1][0], max(end, names[-1][1])
        else:
            names.append((begin, end))
    return names


def _whole_word(text: str, begin: int, end: int) -> Span:
    """Empty where there is no letter. Half of a name would be no less of a name."""
    while begin < end and not _WORD.match(text[begin]):
        begin += 1
    while begin < end and not _WORD.match(text[end - 1]):
        end -= 1
    if begin < end:
        while begin and _WORD.match(text[begin - 1]):
            begin -= 1
        while end < len(text) and _WORD.match(text[end]):
            end += 1
    return begin, end
