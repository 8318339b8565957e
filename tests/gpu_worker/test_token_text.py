"""What single tokens stand for: joined, their bytes are the text."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gpu_worker.engine.token_text import TokenText


@pytest.fixture(scope="module")
def byte_level(tiny: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny)


@pytest.fixture(scope="module")
def byte_fallback() -> Any:
    """As SentencePiece models are converted: a mark for spaces, and tokens for single bytes."""
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "\u2581a", "\u00e9"]
    model = models.BPE(
        {piece: i for i, piece in enumerate(pieces)}, [("\u2581", "a")], unk_token="<unk>", byte_fallback=True
    )
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    wrap: Any = PreTrainedTokenizerFast
    return wrap(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


@given(st.text(max_size=40))
def test_the_bytes_of_a_byte_level_tokenizers_tokens_are_the_text(byte_level: Any, text: str) -> None:
    tokens = TokenText(byte_level)
    ids = byte_level(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert b"".join(tokens.raw(token) or b"" for token in ids) == text.encode()


@given(st.text(st.sampled_from("a \u00e9\u65e5\U0001f600\n"), max_size=20))
def test_the_bytes_of_a_tokenizer_with_byte_tokens_are_the_text_after_its_first_space(
    byte_fallback: Any, text: str
) -> None:
    tokens = TokenText(byte_fallback)
    ids = byte_fallback(text, add_special_tokens=False)["input_ids"]
    assert b"".join(tokens.raw(token) or b"" for token in ids) == (b" " + text.encode() if text else b"")


def test_a_token_is_named_by_its_text_its_bytes_or_its_own_name(byte_level: Any) -> None:
    tokens = TokenText(byte_level)
    half = byte_level("\u00fc", add_special_tokens=False)["input_ids"][0]
    assert (tokens.name(half), tokens.raw(half)) == ("\\xc3", b"\xc3")
    assert (tokens.name(2), tokens.raw(2)) == ("</s>", None)
    space = byte_level(" self", add_special_tokens=False)["input_ids"][0]
    assert tokens.name(space).startswith(" ")
    assert (tokens.name(1_000_000), tokens.raw(1_000_000)) == ("token_id:1000000", None)
