"""Token ids to text, piece by piece."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from gpu_worker.engine.detokenize import Decode, Detokenizer

TEXT = "Grüße, 世界! 👩‍👩‍👧‍👦 def f(x):\n    return x  # naïve ✨"


@pytest.fixture(scope="module")
def byte_level(tiny: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny / "tokenizer.json"))


def pieces(decode: Decode, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(decode)
    return [*(detokenizer.feed(token) for token in ids), detokenizer.flush()]


def decoder(tokenizer: Tokenizer) -> Decode:
    return lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True))


def test_a_character_is_shown_only_when_it_is_complete(byte_level: Tokenizer) -> None:
    ids = byte_level.encode(TEXT).ids
    parts = pieces(decoder(byte_level), ids)
    assert "".join(parts) == TEXT
    assert not any("\ufffd" in part for part in parts)
    assert len(ids) > len(TEXT) / 2, "the tokenizer cuts characters apart, otherwise this test shows nothing"


def test_special_tokens_are_never_shown(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("<s>Hello</s> there<s>").ids
    assert {1, 2} <= set(ids)
    assert "".join(pieces(decoder(byte_level), ids)) == "Hello there"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.integers(0, 511), max_size=120))
def test_joined_pieces_are_the_text_of_all_tokens_whatever_they_are(byte_level: Tokenizer, ids: list[int]) -> None:
    decode = decoder(byte_level)
    assert "".join(pieces(decode, ids)) == decode(ids)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
def test_any_text_comes_out_as_it_went_in(byte_level: Tokenizer, text: str) -> None:
    shown = "".join(pieces(decoder(byte_level), byte_level.encode(text, add_special_tokens=False).ids))
    assert shown == decoder(byte_level)(byte_level.encode(text, add_special_tokens=False).ids)


def test_endless_broken_output_is_shown_and_stays_cheap(byte_level: Tokenizer) -> None:
    lone_byte = byte_level.encode("é").ids[-1]
    longest = 0

    def decode(ids: object) -> str:
        nonlocal longest
        longest = max(longest, len(ids))  # type: ignore[arg-type]
        return decoder(byte_level)(ids)  # type: ignore[arg-type]

    shown = "".join(pieces(decode, [lone_byte] * 500))
    assert shown == decoder(byte_level)([lone_byte] * 500)
    assert longest < 100


@given(text=st.text(st.sampled_from("aé世👍 "), max_size=60))
def test_byte_fallback_tokenizers_give_back_any_text(text: str) -> None:
    tokenizer = _byte_fallback_tokenizer()
    decode = decoder(tokenizer)
    ids = [token for character in text for token in _fallback_ids(tokenizer, character)]
    parts = pieces(decode, ids)
    assert "".join(parts) == decode(ids)
    assert not any("\ufffd" in part for part in parts)


def _byte_fallback_tokenizer() -> Tokenizer:
    """Like Llama 2's: known words with a space mark, everything else as single bytes."""
    vocabulary = {"<unk>": 0, "▁": 1, "a": 2, **{f"<0x{byte:02X}>": 3 + byte for byte in range(256)}}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _fallback_ids(tokenizer: Tokenizer, character: str) -> list[int]:
    known = tokenizer.token_to_id("▁" if character == " " else character)
    return [known] if known is not None else [3 + byte for byte in character.encode()]
