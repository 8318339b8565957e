"""Conversations that are dropped for what is said in them."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache, cached_property

from opencc import OpenCC

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step

_SPEAKERS = (Role.USER, Role.ASSISTANT)


@step
@dataclass(frozen=True)
class BlockedWords(MapStep):
    """Drop conversations in which one of `words` is said, in any case.

    `speakers`: by whom. `inside`: also as a part of a longer word, as FastChat's cleaning does. `both_scripts`: Chinese
    words also in the script, traditional or simplified, in which they are not given.
    """

    name = "blocked_words"
    words: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=lambda: [str(role) for role in _SPEAKERS])
    inside: bool = False
    both_scripts: bool = False

    def __post_init__(self) -> None:
        if not self.words or not all(word.strip() for word in self.words):
            raise OptionWrong("words: give at least one, and none that is empty")
        if not self.speakers or not set(self.speakers) <= set(Role):
            raise OptionWrong(f"speakers: {self.speakers} are not all of {', '.join(Role)}")

    @cached_property
    def _pattern(self) -> "re.Pattern[str]":
        said = [simplified(word) if self.both_scripts else word for word in self.words]
        words = "|".join(re.escape(word.strip()) for word in sorted(said, key=len, reverse=True))
        return re.compile(words if self.inside else rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    @cached_property
    def _small(self) -> list[str] | None:
        """The words in small letters; None if some have letters beyond ASCII, which may have more than two cases."""
        words = [word.strip() for word in self.words]
        return [word.lower() for word in words] if all(map(str.isascii, words)) else None

    def _may_be_in(self, text: str) -> bool:
        """Of what the pattern finds; five times as fast, where text and words are ASCII."""
        if self._small is None or not text.isascii():
            return True
        small = text.lower()
        return any(word in small for word in self._small)

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for message in record.all_messages():
            if message.role not in self.speakers:
                continue
            text = simplified(message.content) if self.both_scripts else message.content
            if self._may_be_in(text) and (found := self._pattern.search(text)):
                return Dropped("blocked word", found[0])
        return record


def simplified(text: str) -> str:
    """Traditional Chinese as simplified Chinese, and all else as it is. The text has neither NUL nor half a pair."""
    converted: str = _converter().convert(text)
    return converted


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


REFUSALS = (
    r"(?:i'?m|i am) (?:really |very )?sorry,? (?:but )?(?:i|as an)\b",
    r"(?:sorry|apologies),? (?:but )?i (?:can'?t|cannot|can not|am (?:not able|unable))\b",
    r"i (?:can'?t|cannot|can not|won'?t|am (?:not able|unable) to) "
    r"(?:help|assist|provide|fulfill|comply|answer|do that|generate|create|write|engage|support)\b",
    r"as an ai(?: language)?(?: model)?,? i (?:can'?t|cannot|do not|don'?t|am (?:not able|unable))\b",
    r"as an ai(?: language)? model\b[^.]{0,80}\bi (?:can'?t|cannot|am (?:not able|unable))\b",
)
"""How answers begin that refuse. In English only; a recipe adds its own."""


@step
@dataclass(frozen=True)
class Refusals(MapStep):
    """Drop conversations whose last answer begins as a refusal does.

    `anywhere`: any answer, not only the last. `more`: further beginnings, plain text, in any case.
    """

    name = "refusals"
    anywhere: bool = False
    more: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not all(beginning.strip() for beginning in self.more):
            raise OptionWrong("more: none may be empty, as every answer begins so")

    @cached_property
    def _pattern(self) -> "re.Pattern[str]":
        return re.compile("|".join([*REFUSALS, *map(re.escape, self.more)]), re.IGNORECASE)

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        answers = [message.content for message in record.chosen or record.messages if message.role == Role.ASSISTANT]
        for answer in answers if self.anywhere else answers[-1:]:
            beginning = answer.lstrip()[:300].replace("’", "'")
            if self._pattern.match(beginning):
                return Dropped("refusal", beginning[:60])
        return record


@step
@dataclass(frozen=True)
class ReplaceText(MapStep):
    """Replace texts in every message: `pairs` maps what is looked for to what is put there.

    For the control tokens of a tokenizer, so that no message can end a turn: see `control_tokens`.
    """

    name = "replace_text"
    pairs: dict[str, str] = field(default_factory=dict)
    control_tokens: list[str] = field(default_factory=list)
    """Each is taken apart with bars, as FastChat's optional_replace does: </s> becomes <|/s|>."""

    def __post_init__(self) -> None:
        if not self.pairs and not self.control_tokens:
            raise OptionWrong("pairs or control_tokens: give at least one")
        if "" in self.pairs or "" in self.control_tokens:
            raise OptionWrong("pairs, control_tokens: none may be empty")

    @cached_property
    def _all(self) -> dict[str, str]:
        return {token: taken_apart(token) for token in self.control_tokens} | self.pairs

    @cached_property
    def _pattern(self) -> "re.Pattern[str]":
        return re.compile("|".join(map(re.escape, sorted(self._all, key=len, reverse=True))))

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        n_all = 0
        for message in record.all_messages():
            message.content, n_here = self._pattern.subn(lambda match: self._all[match[0]], message.content)
            n_all += n_here
        if n_all:
            notes["text replaced"] += n_all
            record.steps.append(self.name)
        return record


def taken_apart(token: str) -> str:
    """No longer the token, and still to be read. Source: FastChat 0.2.36, fastchat/data/optional_replace.py."""
    if len(token) == 1:
        return " "
    return f"{token[0]}|{token[1]}" if len(token) == 2 else f"{token[0]}|{token[1:-1]}|{token[-1]}"


@step
@dataclass(frozen=True)
class Length(MapStep):
    """Drop conversations with fewer than `min_chars` or more than `max_chars` characters in all (0: any number)."""

    name = "length"
    min_chars: int = 0
    max_chars: int = 0

    def __post_init__(self) -> None:
        if self.min_chars < 0 or self.max_chars < 0 or 0 < self.max_chars < self.min_chars:
            raise OptionWrong("min_chars, max_chars: not negative, and max_chars not below min_chars")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        n_chars = sum(len(message.content) for message in record.all_messages())
        if n_chars < self.min_chars:
            return Dropped("too short", f"{n_chars} characters")
        if self.max_chars and n_chars > self.max_chars:
            return Dropped("too long", f"{n_chars} characters")
        return record
