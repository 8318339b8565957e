"""Stop strings in a stream."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.stop import StopScanner

ALPHABET = "ab\n"


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def shown(stops: tuple[str, ...], pieces: list[str]) -> tuple[str, str | None]:
    scanner = StopScanner(stops)
    text = "".join(scanner.feed(piece) for piece in pieces)
    return text + scanner.flush(), scanner.matched


def test_a_stop_string_across_chunks_is_found_and_never_shown() -> None:
    assert shown(("</end>",), ["Hello </", "en", "d> and more"]) == ("Hello ", "</end>")


def test_text_that_only_looks_like_a_stop_string_is_shown_at_the_end() -> None:
    assert shown(("</end>",), ["Hello </en"]) == ("Hello </en", None)


def test_no_more_is_held_back_than_could_be_a_stop_string() -> None:
    scanner = StopScanner(("STOP",))
    assert scanner.feed("one ST") == "one "
    assert scanner.feed("ill") == "STill"


def test_of_two_stop_strings_that_end_together_the_longer_wins() -> None:
    assert shown(("b", "ab"), ["xab"]) == ("x", "ab")


def test_the_stop_string_that_is_complete_first_wins_however_the_text_comes() -> None:
    assert shown(("abc", "b"), ["abc"]) == shown(("abc", "b"), ["a", "b", "c"]) == ("a", "b")


def test_without_stop_strings_text_passes_unchanged() -> None:
    assert StopScanner(()).feed("anything") == "anything"


@given(
    text=st.text(ALPHABET, max_size=40),
    stops=st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=4).map(tuple),
    cuts=st.lists(st.integers(0, 100), max_size=12),
)
def test_however_the_text_is_cut_it_ends_before_the_first_stop_string(
    text: str, stops: tuple[str, ...], cuts: list[int]
) -> None:
    result, matched = shown(stops, pieces_of(text, cuts))
    assert (result, matched) == shown(stops, list(text)), "as if it came a character at a time"
    if matched is None:
        assert result == text
        assert not any(stop in text for stop in stops)
    else:
        assert text.startswith(result + matched)
        assert not any(stop in result for stop in stops)
