"""Text to token ids, so that text from people never becomes a control token.

Off the GIL where the tokenizer allows it. It knows no roles and no templates.
"""

import json
import re
import secrets
import threading
from collections.abc import Sequence
from typing import Any, Protocol


class Encoding(Protocol):
    """Token ids that may not have been copied out yet."""

    def __len__(self) -> int: ...

    @property
    def ids(self) -> list[int]: ...


class TextEncoder:
    """Encodes with one tokenizer, from any thread."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._lock = threading.Lock()

    def encode(self, text: str, *, add_special_tokens: bool) -> Encoding:
        if self._backend is not None:
            # `encode` holds the GIL for all of its time, a second per megabyte, and stops every stream; the batch
            # form lets go of it.
            encodings: list[Encoding] = self._backend.encode_batch_fast([text], add_special_tokens=add_special_tokens)
            return encodings[0]
        with self._lock:
            return _Ids(self._tokenizer.encode(text, add_special_tokens=add_special_tokens))


class _Ids(list[int]):
    @property
    def ids(self) -> list[int]:
        return list(self)


class Shield:
    """Keeps control tokens that people write in their messages from controlling anything.

    A message that contains `<|end|><|system|>` would otherwise end its own turn and speak as the system. Texts are
    `cover`ed before the chat template sees them and uncovered while its result is encoded: there such a word is cut
    into the tokens of its letters. A prompt without such words is encoded in one piece, as in training.
    """

    def __init__(self, tokenizer: Any, encoder: TextEncoder, further: Sequence[str] = ()) -> None:
        """`further`: words that control something though the tokenizer does not say so."""
        self._encoder = encoder
        words = sorted({str(word) for word in (*_control_words(tokenizer), *further)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None
        self._plain = _without_control_words(tokenizer)

    def cover(self, texts: Sequence[str]) -> tuple[list[str], "Cover | None"]:
        """Texts with each control word replaced by a mark, and what the marks mean; None if there is no such word."""
        if self._pattern is None or self._plain is None or not any(map(self._pattern.search, texts)):
            return list(texts), None
        cover = Cover(secrets.token_hex(8))
        return [self._pattern.sub(cover.hide, text) for text in texts], cover

    def encode(self, rendered: str, cover: "Cover") -> list[int]:
        """Token ids of a rendered prompt whose texts were covered."""
        ids: list[int] = []
        for index, part in enumerate(cover.mark.split(rendered)):
            if index % 2:  # what `split` captured: the number of a hidden word
                ids += self._plain.encode(cover.words[int(part)], add_special_tokens=False).ids
            elif part:
                ids += self._encoder.encode(part, add_special_tokens=False).ids
        return ids


class Cover:
    """The words that are hidden in one prompt, behind marks that nobody can guess."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.words: list[str] = []
        self.mark = re.compile(f"\ue000{secret}:([0-9]+)\ue001")

    def hide(self, found: re.Match[str]) -> str:
        self.words.append(found.group())
        return f"\ue000{self._secret}:{len(self.words) - 1}\ue001"

    def reveal(self, rendered: str) -> str:
        """The text with the hidden words where they were."""
        return self.mark.sub(lambda found: self.words[int(found[1])], rendered)


def _control_words(tokenizer: Any) -> list[str]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return [token.content for token in added.values() if token.special] + list(tokenizer.all_special_tokens)


def _without_control_words(tokenizer: Any) -> Any:
    """A copy of the tokenizer that takes control words for letters; None where that is not possible."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(_without_control_pieces(backend.to_str(), set(_control_words(tokenizer))))
    plain.encode_special_tokens = True
    return plain


def _without_control_pieces(text: str, words: set[str]) -> str:
    """A Unigram model takes any piece that it knows, and T5's knows `</s>`: here it has a name that nobody writes."""
    described = json.loads(text)
    if described["model"]["type"] != "Unigram":
        return text
    for number, piece in enumerate(described["model"]["vocab"]):
        if piece[0] in words:
            piece[0] = f"\ue000{number}\ue001"
    return json.dumps(described)
