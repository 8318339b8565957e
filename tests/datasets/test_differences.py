"""What was taken from a text and what was put in: nothing is left out, and no text takes a minute."""

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.differences import Budget, Kind, conversations_compared, texts_compared
from tests.datasets.support import talk

words = st.lists(st.sampled_from(["a", "b", "tea ", " ", "\n", "<b>"]), max_size=40).map("".join)


@settings(deadline=None)
@given(words, words, st.integers(0, 2000))
def test_what_is_the_same_or_taken_is_the_text_before_and_what_is_the_same_or_put_the_one_after(
    before: str, after: str, n_cells: int
) -> None:
    pieces = list(texts_compared(before, after, Budget(n_cells)))
    assert "".join(piece.text for piece in pieces if piece.kind is not Kind.PUT) == before
    assert "".join(piece.text for piece in pieces if piece.kind is not Kind.TAKEN) == after


def test_a_conversation_that_is_long_is_compared_word_by_word_at_its_beginning_alone() -> None:
    said = [" ".join(f"word{n * step}" for n in range(900)) for step in (1, 1, 1)]
    changed = [f"{text} end".replace("word7 ", "") for text in said]
    first, second, third = conversations_compared(talk("uau", *said).messages, talk("uau", *changed).messages)
    assert [piece.kind for piece in first.pieces] == [Kind.SAME, Kind.TAKEN, Kind.SAME, Kind.PUT]
    for one in (second, third):
        assert [piece.kind for piece in one.pieces] == [Kind.TAKEN, Kind.PUT]
