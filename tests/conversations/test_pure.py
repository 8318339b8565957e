"""The parts that need neither Postgres nor a worker: texts, the growing answer, time."""

from hypothesis import given
from hypothesis import strategies as st

from apps.conversations.live.answer import Answer
from apps.conversations.live.timing import Stopwatch
from apps.conversations.markdown import render
from apps.conversations.texts import TITLE_CHARS, title_from
from apps.core.texts import clean_text

any_text = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=200)


@given(any_text)
def test_a_cleaned_text_can_be_stored(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    assert clean_text(cleaned) == cleaned


@given(st.text(max_size=200).filter(lambda text: "\0" not in text))
def test_an_ordinary_text_is_left_alone(text: str) -> None:
    assert clean_text(text) == text


@given(any_text)
def test_a_title_is_one_line_of_limited_length(text: str) -> None:
    title = title_from(clean_text(text))
    assert len(title) <= TITLE_CHARS
    assert title == " ".join(title.split())


def test_a_title_is_the_first_line_that_has_words() -> None:
    assert title_from("\n  \n Hello   there \nSecond line") == "Hello there"


def test_a_long_title_is_cut_at_a_word() -> None:
    title = title_from("word " * 40)
    assert title == "word " * 15 + "word…"
    assert len(title) == TITLE_CHARS


def test_a_long_title_without_spaces_is_cut_in_the_middle() -> None:
    assert title_from("字" * 200) == "字" * (TITLE_CHARS - 1) + "…"


@given(st.lists(any_text, max_size=20), st.integers(0, 300))
def test_an_answer_that_starts_from_a_saved_beginning_neither_repeats_nor_loses(
    pieces: list[str], n_saved: int
) -> None:
    whole = "".join(clean_text(piece) for piece in pieces)
    answer = Answer(whole[:n_saved])
    for piece in pieces:
        answer.append(piece)
        assert whole.startswith(answer.text)
    assert answer.text == whole
    assert answer.n_chars == len(whole)


@given(st.lists(st.text(max_size=40), max_size=20), st.integers(1, 5))
def test_an_answer_rendered_now_and_then_equals_the_whole_rendered_at_once(pieces: list[str], every: int) -> None:
    answer = Answer()
    for number, piece in enumerate(pieces):
        answer.append(piece)
        if number % every == 0:
            answer.render()
    answer.render(is_whole=True)
    assert "".join(answer.blocks) == render(answer.text)
    assert answer.tail == ""


def test_finishing_twice_changes_nothing() -> None:
    answer = Answer("# One")
    answer.render(is_whole=True)
    blocks = list(answer.blocks)
    answer.render(is_whole=True)
    assert answer.blocks == blocks


def test_time_counts_from_the_question_and_speed_from_the_first_piece() -> None:
    now = 100.0
    watch = Stopwatch(lambda: now)
    watch.start(asked_s_ago=0.25)
    now = 100.5
    watch.tick()
    assert watch.ttft_ms == 750
    assert watch.tokens_per_s(1) is None
    now = 102.5
    watch.tick()
    assert watch.tokens_per_s(11) == 5.0
    assert watch.tokens_per_s(None) is None


def test_a_replay_is_not_measured() -> None:
    watch = Stopwatch(lambda: 1.0)
    watch.tick()
    assert watch.ttft_ms is None
    assert watch.tokens_per_s(10) is None
