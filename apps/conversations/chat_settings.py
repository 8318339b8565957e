"""What a person sets for one chat: the system prompt, and how the model draws its words. Texts in, checked values out.

Pure: no Django, no models. What is left empty is decided by the model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.conversations.errors import SettingRefused
from apps.core.texts import clean_text

SYSTEM_PROMPT_MAX_CHARS = 20_000
STOPS_MAX = 4
STOP_MAX_CHARS = 100
_ESCAPES = {"\\n": "\n", "\\t": "\t"}


@dataclass(frozen=True, slots=True)
class Number:
    """One number that may be set. Source of names and ranges: OpenAI API reference, "Create chat completion"."""

    name: str
    label: str
    lowest: float
    highest: float
    hint: str
    is_whole: bool = False

    def parse(self, text: str) -> float | int:
        """Raises: SettingRefused."""
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            value = math.nan
        if not self.lowest <= value <= self.highest:
            kind = "a whole number" if self.is_whole else "a number"
            reason = f"{self.label} must be {kind} from {self.lowest:g} to {self.highest:,.10g}"
            raise SettingRefused(reason=reason)
        return value


NUMBERS = (
    Number("temperature", "Temperature", 0, 2, "0 is always the likeliest word; higher is more varied."),
    Number("top_p", "Top p", 0.01, 1, "Draw only from the likeliest words that make up this share."),
    Number("max_tokens", "Longest answer", 1, 1_000_000, "In tokens.", is_whole=True),
    Number("seed", "Seed", 0, 2**31 - 1, "The same seed draws the same words again.", is_whole=True),
    Number("frequency_penalty", "Frequency penalty", -2, 2, "Above 0, words become rarer the more often they came."),
    Number("presence_penalty", "Presence penalty", -2, 2, "Above 0, words that came become rarer."),
)
NAMES = frozenset({"system_prompt", "stop", *(number.name for number in NUMBERS)})


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """`sampling` has the fields of a request to a worker, and only those that were set."""

    system_prompt: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)


def settings_parse(fields: Mapping[str, str]) -> ChatSettings:
    """Of a form's texts; other names are left alone. Raises: SettingRefused, which names the field and its limits."""
    prompt = clean_text(fields.get("system_prompt", "")).strip()
    if len(prompt) > SYSTEM_PROMPT_MAX_CHARS:
        raise SettingRefused(reason=f"The system prompt may have {SYSTEM_PROMPT_MAX_CHARS:,} characters at most")
    sampling: dict[str, Any] = {}
    for number in NUMBERS:
        if text := fields.get(number.name, "").strip():
            sampling[number.name] = number.parse(text)
    if stops := _stops(clean_text(fields.get("stop", ""))):
        sampling["stop"] = stops
    return ChatSettings(prompt, sampling)


def settings_fields(settings: ChatSettings) -> dict[str, str]:
    """The texts of a form that `settings_parse` reads as these settings."""
    fields = {"system_prompt": settings.system_prompt}
    for number in NUMBERS:
        value = settings.sampling.get(number.name)
        fields[number.name] = "" if value is None else f"{value!r}"
    fields["stop"] = "\n".join(_escaped(stop) for stop in settings.sampling.get("stop", ()))
    return fields


def _stops(text: str) -> list[str]:
    stops = [_unescaped(line) for line in text.splitlines() if line.strip()]
    if len(stops) > STOPS_MAX:
        raise SettingRefused(reason=f"There may be {STOPS_MAX} texts to stop at, one on each line")
    if any(len(stop) > STOP_MAX_CHARS for stop in stops):
        raise SettingRefused(reason=f"A text to stop at may have {STOP_MAX_CHARS} characters at most")
    return stops


def _unescaped(line: str) -> str:
    for spelled, meant in _ESCAPES.items():
        line = line.replace(spelled, meant)
    return line


def _escaped(stop: str) -> str:
    for spelled, meant in _ESCAPES.items():
        stop = stop.replace(meant, spelled)
    return stop
