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
    """Who the model is, whether it shows its working, and how often it meets capitals (1: as the curriculum says)."""

    name: str
    shows_working: bool = True
    capitals_share: float = 1.0


Topic = Callable[[Random, Persona], list[Exchange]]
