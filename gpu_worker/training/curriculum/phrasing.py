"""Make one question look as different people type it: case, punctuation, contractions, slips of the finger.

Changes only what users say; answers are always written properly.
"""

import re
from collections.abc import Sequence
from random import Random

_PREFIXES = ("hey, ", "please ", "ok, ", "hi! ", "so ", "hello, ", "um ", "quick question: ", "hey ", "Please, ")
_SUFFIXES = (" please", ", please", " pls", " thanks", " :)")


def ask(rng: Random, options: Sequence[str], *, typos: bool = True, **fields: object) -> str:
    """One of the wordings with its fields filled in, roughened. `typos=False` where letters carry the meaning."""
    return roughen(rng, rng.choice(options).format(**fields), typos=typos)


def roughen(rng: Random, text: str, *, typos: bool = True) -> str:
    """The same text as a hurried, careful, or shouting person would type it."""
    text = _contract(rng, text)
    if rng.random() < 0.07 and "\n" not in text:
        text = rng.choice(_PREFIXES) + (text if rng.random() < 0.4 else text[:1].lower() + text[1:])
    if typos and rng.random() < 0.13:
        text = _slip(rng, text)
    if rng.random() < 0.42:
        text = text.rstrip("?.!")
        if rng.random() < 0.08:
            text += rng.choice(_SUFFIXES)
    elif rng.random() < 0.08:
        text = text.rstrip("?.!") + rng.choice(("??", "!", "!!", " ?", "...", "?!"))
    draw = rng.random()
    if draw < 0.38:
        return text.lower()
    return text.upper() if typos and draw < 0.41 else text


def _contract(rng: Random, text: str) -> str:
    if rng.random() < 0.3:
        text = re.sub(r"\b([Ww]hat|[Ww]ho|[Ww]here) is\b", r"\1's", text)
    if rng.random() < 0.3:
        text = text.replace("'", "")
    return text


def _slip(rng: Random, text: str) -> str:
    """One swapped, dropped or doubled letter in one word of at least four letters."""
    words = list(re.finditer(r"[A-Za-z]{4,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    match rng.randrange(3):
        case 0:
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        case 1:
            return text[:at] + text[at + 1 :]
        case _:
            return text[:at] + text[at] + text[at:]
