"""How well an answer is written, by rules that can be read: what is wrong with it, and the share of rules it keeps."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.wording import FENCED, words_of

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_BULLET = re.compile(r"[-*+•] ")
_ENDS = (*".!?:;…)]}>*|`\"'”’»。！？：；」』）।؟", "$$")
_ALPHABETIC = re.compile(r"[A-Za-zÀ-ɏͰ-ϿЀ-ӿ]")


@dataclass(frozen=True, slots=True)
class _Answer:
    """`prose`: without fenced code. `words` and `lines` are of it, `letters` the words that an alphabet is used for."""

    text: str
    prose: str
    words: list[str]
    letters: list[str]
    lines: list[str]


def _answer(text: str) -> _Answer:
    prose = FENCED.sub("", text)
    words = words_of(prose)
    lines = [line.strip() for line in prose.splitlines() if line.strip()]
    return _Answer(text, prose, words, [word for word in words if _ALPHABETIC.match(word)], lines)


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))


RULES: dict[str, Callable[[_Answer], bool]] = {
    "no text": lambda answer: not any(map(str.isalnum, answer.text)),
    "few words": lambda answer: len(words_of(answer.text)) < 3,
    "odd word length": lambda answer: bool(answer.letters) and not 2 <= _mean(answer.letters) <= 12,
    "few letters": lambda answer: _share(len(answer.words) - sum(map(_has_letter, answer.words)), answer.words) > 0.4,
    "many symbols": lambda answer: _share(answer.prose.count("#") + answer.prose.count("…"), answer.words) > 0.1,
    "ellipses": lambda answer: _share(sum(line.endswith(("...", "…")) for line in answer.lines), answer.lines) > 0.3,
    "only bullets": lambda answer: len(answer.lines) > 3 and all(map(_BULLET.match, answer.lines)),
    "same lines": lambda answer: _share(len(answer.lines) - len(set(answer.lines)), answer.lines) > 0.3,
    "open code": lambda answer: len(_FENCE.findall(answer.text)) % 2 == 1,
    "breaks off": lambda answer: len(answer.words) > 20 and not answer.text.rstrip().endswith(_ENDS),
}
"""Each says whether an answer breaks it.

Source: Rae et al. (2021), Scaling Language Models, appendix A.1.1, for symbols, letters, ellipses, bullets and same
lines, with wider bounds: answers are shorter than web pages, and hold tables and formulas. Raffel et al. (2020),
section 2.2, for what breaks off.
"""


@step
@dataclass(frozen=True)
class Quality(MapStep):
    """Write into the field "quality" the share of rules, 0 to 1, that the worst answer keeps, and into "quality_faults"
    the rules that any answer breaks. Drop conversations of less than `least` (0: none).
    """

    name = "quality"
    least: float = 0

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise OptionWrong("least: from 0 to 1")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        broken = [faults_of(text) for text in record.said_by(Role.ASSISTANT)]
        score = round(1 - max(map(len, broken), default=0) / len(RULES), 3)
        faults = [name for name in RULES if any(name in one for one in broken)]
        if score < self.least:
            return Dropped(f"quality under {self.least:g}", ", ".join(faults))
        record.fields |= {"quality": score, "quality_faults": faults}
        for name in faults:
            notes[f"answer with: {name}"] += 1
        return record


def faults_of(text: str) -> list[str]:
    """The rules that an answer breaks."""
    answer = _answer(text)
    return [name for name, breaks in RULES.items() if breaks(answer)]


def _mean(words: list[str]) -> float:
    return sum(map(len, words)) / len(words)


def _share(n: int, of: list[str]) -> float:
    return n / max(1, len(of))
