"""What each single token stands for: its text and its bytes, for reports of log probabilities.

Plain Python over a tokenizer. The text of an answer is not made here (`detokenize`): tokens may end inside a character.
"""

import re
from functools import lru_cache
from typing import Any

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenText:
    """One tokenizer's tokens, by id."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids) | _special_ids(tokenizer)
        self._literal = frozenset(getattr(tokenizer, "added_tokens_decoder", {}))
        backend = getattr(tokenizer, "backend_tokenizer", None)
        decoder = repr(backend.decoder) if backend is not None else ""
        self._is_byte_level = "ByteLevel" in decoder
        self._has_byte_tokens = "ByteFallback" in decoder

    def raw(self, token_id: int) -> bytes | None:
        """The bytes that a token adds to the text; None for one that adds none, such as the end token."""
        if token_id in self._special:
            return None
        piece = self._piece(token_id)
        if piece is None:
            return None
        if token_id in self._literal:
            return piece.encode()
        if self._is_byte_level:
            alphabet = _byte_of_character()
            return bytes(alphabet[c] for c in piece) if alphabet.keys() >= set(piece) else piece.encode()
        if self._has_byte_tokens and (found := BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(found[1], 16)])
        if piece.startswith("\u2581"):  # SentencePiece's mark for a space; decoded alone, a token may lose it
            return piece.replace("\u2581", " ").encode()
        return str(self._tokenizer.decode([token_id])).encode()

    def name(self, token_id: int) -> str:
        """A token in writing: its text, its own name if it has no text, escaped bytes if they are no text alone."""
        raw = self.raw(token_id)
        if raw is None:
            return self._piece(token_id) or f"token_id:{token_id}"
        if self.is_whole(token_id):
            return raw.decode()
        return "".join(f"\\x{byte:02x}" for byte in raw)

    def is_whole(self, token_id: int) -> bool:
        """Whether it neither begins nor ends inside a character."""
        try:
            (self.raw(token_id) or b"").decode()
        except UnicodeDecodeError:
            return False
        return True

    def _piece(self, token_id: int) -> str | None:
        """None beyond the tokenizer's vocabulary: a model may have rows for more tokens than there are."""
        try:
            piece: str | None = self._tokenizer.convert_ids_to_tokens(token_id)
        except IndexError:  # what SentencePiece's own tokenizers say
            return None
        return piece


def _special_ids(tokenizer: Any) -> frozenset[int]:
    """Added tokens that decoding leaves out."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return frozenset(token_id for token_id, token in added.items() if token.special)


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """The alphabet in which byte-level tokenizers write bytes as visible characters.

    Source: GPT-2, encoder.py, `bytes_to_unicode`: visible Latin-1 characters stand for themselves, the other bytes for
    the characters from U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(visible)]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
