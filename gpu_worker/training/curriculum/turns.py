"""The shapes the curriculum is made of: an exchange, a conversation, a topic.

Holds no text and draws nothing at random.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer."""

    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the model is, and whether it shows its working in arithmetic."""

    name: str
    shows_working: bool = True


Topic = Callable[[Random, Persona], list[Exchange]]
