"""The text the demonstration models learn from: written by this project, composed at random from a seed.

`conversations` is the whole interface. It knows no tokenizer and no model.
"""

from collections.abc import Iterator
from random import Random

from gpu_worker.training.curriculum import (
    arithmetic,
    capitals,
    code,
    facts,
    howto,
    identity,
    smalltalk,
    unknown,
    words,
    writing,
)
from gpu_worker.training.curriculum.turns import Exchange, Message, Persona, Topic

_SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are {name}, a small demonstration model.",
    "Answer briefly.",
    "You are a helpful assistant. Answer in English.",
    "Be polite and short.",
    "A chat between a curious user and a helpful assistant.",
)
# How often each topic is drawn. Sums and capitals are what people try first and what is measured.
TOPICS: tuple[tuple[Topic, int], ...] = (
    (arithmetic.sums, 190),
    (arithmetic.differences, 90),
    (arithmetic.products, 60),
    (arithmetic.chains, 30),
    (arithmetic.comparisons, 20),
    (arithmetic.counting, 22),
    (capitals.capitals, 130),
    (identity.identity, 80),
    (identity.site, 14),
    (smalltalk.smalltalk, 120),
    (smalltalk.remembering, 25),
    (unknown.unknown, 95),
    (words.opposites, 22),
    (words.rhymes, 16),
    (words.plurals, 16),
    (words.letters, 60),
    (words.translations, 14),
    (words.echoes, 16),
    (facts.calendar, 26),
    (facts.units, 22),
    (facts.nature, 36),
    (facts.facts, 20),
    (facts.kinds, 30),
    (facts.tables, 12),
    (howto.howto, 30),
    (howto.long_howto, 8),
    (howto.tips, 10),
    (writing.stories, 18),
    (writing.jokes, 20),
    (writing.verses, 20),
    (code.code, 28),
)
_N_EXCHANGES = ((1, 2, 3, 4, 5, 6), (48, 20, 13, 9, 6, 4))
_N_EXCHANGES_LONG = (8, 10, 14, 18)
# A conversation must fit the context of 1024 tokens; characters are counted because no tokenizer exists yet.
# Most stay short, which is cheap to train on; a few are long, so that the model knows far positions.
_MAX_CHARACTERS, _MAX_CHARACTERS_LONG = 900, 2400
_SHARE_LONG = 0.05


def conversations(seed: int, count: int, persona: Persona) -> Iterator[list[Message]]:
    """`count` conversations; number i is the same for the same seed, whatever the count."""
    for index in range(count):
        # Not security: a reproducible choice of sentences.
        yield _conversation(Random(f"{seed}/{index}"), persona)  # noqa: S311


def _conversation(rng: Random, persona: Persona) -> list[Message]:
    messages: list[Message] = []
    if rng.random() < 0.14:
        messages.append({"role": "system", "content": rng.choice(_SYSTEM_PROMPTS).format(name=persona.name)})
    for exchange in _exchanges(rng, persona):
        messages.append({"role": "user", "content": exchange.user})
        messages.append({"role": "assistant", "content": exchange.assistant})
    return messages


def _exchanges(rng: Random, persona: Persona) -> list[Exchange]:
    topics = [topic for topic, _ in TOPICS]
    weights = [w * persona.capitals_share if topic is capitals.capitals else w for topic, w in TOPICS]
    is_long = rng.random() < _SHARE_LONG
    wanted = rng.choice(_N_EXCHANGES_LONG) if is_long else rng.choices(*_N_EXCHANGES)[0]
    limit = _MAX_CHARACTERS_LONG if is_long else _MAX_CHARACTERS
    exchanges: list[Exchange] = []
    n_characters = 0
    while len(exchanges) < wanted:
        drawn = rng.choices(topics, weights)[0](rng, persona)
        n_characters += sum(len(exchange.user) + len(exchange.assistant) for exchange in drawn)
        if exchanges and n_characters > limit:
            break
        exchanges.extend(drawn)
    return exchanges
