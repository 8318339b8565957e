"""Prompt formats by name, for models whose tokenizer brings no chat template: data in `templates/`, rendered here.

Pure. A template is chosen by its exact name, never guessed from a model's. It writes no system message of its own.
"""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from gpu_worker.errors import invalid
from gpu_worker.prompts.message import Message

FOLDER = Path(__file__).parent / "templates"


class TemplateUnknown(ValueError):
    """There is no template of this name. The message names those that are near."""


class Clean(StrEnum):
    """What a style does to the texts themselves."""

    NOTHING = "nothing"
    STRIP = "strip"
    BLANK_LINES = "blank_lines"
    """One line break for two, because two end a turn."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a conversation becomes text. `templates/styles.toml` says what each field means."""

    system: str
    user: str
    assistant: str
    opening: str
    no_system: str | None = None
    needs_message: bool = False
    first_user: str | None = None
    between: str = ""
    clean: Clean = Clean.NOTHING
    last_turn_only: bool = False


@dataclass(frozen=True, slots=True)
class ConversationTemplate:
    """A style with one model family's words."""

    name: str
    style: Style
    roles: tuple[str, str]
    """The words for the user and the assistant."""
    sep: str = ""
    sep2: str = ""
    system: str = "{system}"
    first_round: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()

    @property
    def takes_system(self) -> bool:
        return "{system}" in self.system and "{system}" in self.style.system

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt, ending where the assistant's answer begins.

        Raises: WorkerError (invalid_request): a system message where this format has no place for one.
        """
        system, turns = self._split(messages)
        text = self._system_part(system) + self.style.between.join(self._turn_parts(turns))
        return text + self._fill(self.style.opening, role=self.roles[1]) if add_generation_prompt else text

    def _split(self, messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
        has_system = bool(messages) and messages[0].role == "system"
        turns = messages[1:] if has_system else messages
        for index, message in enumerate(messages):
            if message.role == "system" and (index or not self.takes_system):
                place = "only one, at the beginning" if self.takes_system else "none"
                raise invalid(f"messages[{index}].role", f"of system messages, the template {self.name} takes {place}")
        if not turns:
            raise invalid("messages", f"the template {self.name} needs a message that is no system message")
        return messages[0].content if has_system else "", turns

    def _system_part(self, message: str) -> str:
        prompt = self.system.replace("{system}", message)
        is_missing = not message if self.style.needs_message else not prompt
        if is_missing and self.style.no_system is not None:
            return self.style.no_system
        return self._fill(self.style.system, system=prompt)

    def _turn_parts(self, turns: Sequence[Message]) -> list[str]:
        if self.style.last_turn_only:
            turns = turns[-1:]
        parts = []
        n_questions = 0
        for index, turn in enumerate(turns):
            text = _cleaned(turn.content, self.style.clean)
            if turn.role == "assistant":
                parts.append(self._fill(self.style.assistant, role=self.roles[1], text=text))
                continue
            pattern = self.style.user if index else (self.style.first_user or self.style.user)
            number = str(self.first_round + n_questions)
            parts.append(self._fill(pattern, role=self.roles[0], text=text, round=number))
            n_questions += 1
        return parts

    def _fill(self, pattern: str, **values: str) -> str:
        # One pass: braces that people write in their texts are not looked at.
        return pattern.format(sep=self.sep, sep2=self.sep2, **values)


def find_template(name: str) -> ConversationTemplate:
    """Raises: TemplateUnknown, with the names that are near."""
    found = templates().get(name)
    if found is None:
        by_lower = {known.lower(): known for known in templates()}
        near = [by_lower[lower] for lower in difflib.get_close_matches(name[:100].lower(), by_lower, n=3)]
        hint = f"near are {', '.join(near)}" if near else "`python -m gpu_worker serve --help` lists them"
        raise TemplateUnknown(f"there is no template {name[:100]!r}; {hint}")
    return found


@cache
def templates() -> dict[str, ConversationTemplate]:
    """All templates by name."""
    styles = {name: _style(table) for name, table in _read("styles.toml").items()}
    return {name: _template(name, table, styles) for name, table in _read("templates.toml").items()}


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / file).read_text("utf-8"))


def _style(table: dict[str, Any]) -> Style:
    return Style(**table | {"clean": Clean(table.get("clean", Clean.NOTHING))})


def _template(name: str, table: dict[str, Any], styles: dict[str, Style]) -> ConversationTemplate:
    user, assistant = table["roles"]
    lists = {key: tuple(table.get(key, ())) for key in ("stop", "stop_token_ids")}
    given = table | lists | {"roles": (user, assistant), "style": styles[table["style"]]}
    return ConversationTemplate(name=name, **given)


def _cleaned(text: str, clean: Clean) -> str:
    match clean:
        case Clean.NOTHING:
            return text
        case Clean.STRIP:
            return text.strip()
        case Clean.BLANK_LINES:
            return text.replace("\r\n", "\n").replace("\n\n", "\n")
