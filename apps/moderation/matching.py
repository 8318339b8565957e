"""Rules against texts. Pure, but for the clock of the time limit.

Expressions of admins may be such that a text takes them years; each gets a moment, and the others go on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import assert_never

import regex

from apps.core.languages import LANGUAGES, UNKNOWN, language_of
from apps.moderation.actions import UNCHECKED, UNKNOWN_LANGUAGE, Finding
from apps.moderation.choices import RuleKind
from apps.moderation.personal_data import DETECTORS, DataKind

RULE_LIMIT_S = 0.2
"""For one rule and one text."""
REQUEST_LIMIT_S = 2.0
"""For all rules and texts of one request. What is not looked at by then is unchecked."""
MAX_SPANS = 1000
"""In one text of one rule. One with more is not redacted place by place."""
MAX_PATTERN_CHARS = 20_000
MAX_LENGTH_DIGITS = 9


class PatternWrong(ValueError):
    """The pattern of a rule cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One rule, ready to be used."""

    name: str
    category: str
    kind: RuleKind
    pattern: str

    def check(self) -> None:
        """Raises: PatternWrong."""
        match self.kind:
            case RuleKind.LENGTH:
                _longest(self.pattern)
            case RuleKind.PERSONAL:
                _data_kinds(self.pattern)
            case RuleKind.ONLY_LANGUAGES | RuleKind.LANGUAGES:
                _languages(self.pattern)
            case RuleKind.WORDS | RuleKind.REGEX:
                _compiled(self.kind, self.pattern)
            case _:
                assert_never(self.kind)

    @property
    def is_of_languages(self) -> bool:
        return self.kind in (RuleKind.ONLY_LANGUAGES, RuleKind.LANGUAGES)

    @property
    def is_of_whole_texts(self) -> bool:
        """Whether it finds something in a text as a whole, and not at a place in it."""
        return self.is_of_languages or self.kind is RuleKind.LENGTH

    @property
    def categories(self) -> set[str]:
        """What it may find."""
        return {self.category, UNKNOWN_LANGUAGE} if self.is_of_languages else {self.category}

    def finding(self, text: str, start: int = 0, end: int | None = None) -> Finding | None:
        """What the rule finds, between `start` and `end` if they are given. It takes `RULE_LIMIT_S` at most.

        An expression sees what is before `start`, and takes `end` for the end of the text.
        """
        if self.kind is RuleKind.LENGTH:
            return Finding(self.category, self.name) if len(text[:end]) > _longest(self.pattern) else None
        if self.is_of_languages:
            return self._language_finding(text[:end])
        spans: list[tuple[int, int]] = []
        try:
            for span in self._spans(text, start, len(text) if end is None else end):
                spans.append(span)
                if len(spans) > MAX_SPANS:
                    return Finding(self.category, self.name)
        except TimeoutError:
            # What was found is sure, but not that these are all its places.
            return Finding(self.category if spans else UNCHECKED, self.name)
        return Finding(self.category, self.name, tuple(spans)) if spans else None

    def _language_finding(self, text: str) -> Finding | None:
        language = language_of(text)
        if language == UNKNOWN:
            return Finding(UNKNOWN_LANGUAGE, self.name) if text.strip() else None
        is_named = language in _languages(self.pattern)
        return Finding(self.category, self.name) if is_named is (self.kind is RuleKind.LANGUAGES) else None

    def _spans(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Raises: TimeoutError."""
        if self.kind is RuleKind.PERSONAL:
            ends_at = monotonic() + RULE_LIMIT_S
            for kind in _data_kinds(self.pattern):
                yield from DETECTORS[kind].spans(text, start, end, timeout_s=max(0.001, ends_at - monotonic()))
            return
        # Beside other threads: a slow expression must not stop the whole process.
        expression = _compiled(self.kind, self.pattern)
        for match in expression.finditer(text, start, end, concurrent=True, timeout=RULE_LIMIT_S):
            yield match.span()


def findings_of(
    matchers: Iterable[Matcher], texts: Sequence[str], *, asked_at: float | None = None
) -> list[list[Finding]]:
    """Of each text what each rule finds, within `REQUEST_LIMIT_S` of `asked_at` on the monotonic clock, or of now."""
    rules, ends_at = list(matchers), _end(asked_at)
    return [_findings(rules, text, ends_at) for text in texts]


def findings_between(
    matchers: Iterable[Matcher], text: str, start: int, end: int, *, asked_at: float | None = None
) -> list[Finding]:
    """As `findings_of`, of a part of one text: see `Matcher.finding`."""
    return _findings(list(matchers), text, _end(asked_at), start, end)


def _end(asked_at: float | None) -> float:
    return (monotonic() if asked_at is None else asked_at) + REQUEST_LIMIT_S


def _findings(
    rules: Sequence[Matcher], text: str, ends_at: float, start: int = 0, end: int | None = None
) -> list[Finding]:
    found: list[Finding] = []
    for rule in rules:
        if monotonic() > ends_at:
            return [*found, Finding(UNCHECKED, rule.name)]
        if (finding := rule.finding(text, start, end)) is not None:
            found.append(finding)
    return found


def _longest(pattern: str) -> int:
    digits = pattern.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_LENGTH_DIGITS):
        raise PatternWrong("give the number of characters that a text may have")
    return int(digits)


def _data_kinds(pattern: str) -> list[DataKind]:
    named = [line.strip().lower() for line in pattern.splitlines() if line.strip()]
    if not named or not set(named) <= set(DataKind):
        raise PatternWrong(f"give some of {', '.join(DataKind)}, each on a line of its own")
    return [DataKind(name) for name in dict.fromkeys(named)]


@lru_cache(maxsize=64)
def _languages(pattern: str) -> frozenset[str]:
    named = frozenset(line.strip().lower() for line in pattern.splitlines() if line.strip())
    if not named:
        raise PatternWrong("give at least one language, each on a line of its own")
    if strange := sorted(named - LANGUAGES):
        raise PatternWrong(f"no language is known by {', '.join(strange)}: give codes such as en, de or zh")
    return named


@lru_cache(maxsize=512)
def _compiled(kind: RuleKind, pattern: str) -> "regex.Pattern[str]":
    if len(pattern) > MAX_PATTERN_CHARS:
        raise PatternWrong(f"at most {MAX_PATTERN_CHARS} characters")
    if kind is RuleKind.WORDS:
        words = [word.strip() for word in pattern.splitlines() if word.strip()]
        if not words:
            raise PatternWrong("give at least one word, each on a line of its own")
        return regex.compile(r"(?<!\w)\L<words>(?!\w)", regex.IGNORECASE, words=words)
    try:
        compiled = regex.compile(pattern, regex.VERSION1)
    except (regex.error, ValueError, OverflowError, RecursionError) as exc:
        raise PatternWrong(f"it is no regular expression: {exc}") from exc
    if compiled.fullmatch("", timeout=RULE_LIMIT_S):
        raise PatternWrong("it matches the empty text, and so every one")
    return compiled
