"""Steps by which conversations become fit to publish: battles stay whole, fields go or come, and nobody is known."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.records import Record
from apps.datasets.steps.anonymity import KAnonymous, Pseudonyms
from apps.datasets.steps.base import OptionWrong
from apps.datasets.steps.battles import SampleBattles, WholeBattles
from apps.datasets.steps.fields import DropFields, JoinFields, RenameFields
from apps.datasets.steps.model_names import DropModels
from apps.datasets.steps.questions import FrequentQuestions, ShortQuestions
from apps.datasets.steps.words import BlockedWords
from tests.datasets.support import RELEASE_KEY, TAGS, Notes, applied, chosen, reason, talk


def side(battle: str, letter: str, number: int = 0, **fields: Any) -> Record:
    told = {"model_a": "owl", "model_b": "fox", **fields}
    return talk("ua", id=f"{battle}_{letter}", source=(0, number), fields=told)


# --- Questions --------------------------------------------------------------------------------------------------------


def test_a_short_talk_with_a_short_question_goes_and_a_longer_one_stays() -> None:
    step = ShortQuestions(min_chars=16, max_messages=2)
    assert reason(applied(step, talk("ua", "  hi there  "))) == "questions are short"
    assert reason(applied(step, talk("sua", "Be brief.", "hi"))) == "questions are short"
    assert isinstance(applied(step, talk("ua", "a question of many letters")), Record)
    assert isinstance(applied(step, talk("uaua", "hi", "Hello", "ok", "Well")), Record)


def test_what_everybody_asks_goes_and_a_talk_that_asks_more_stays() -> None:
    first = ("ua", " Hello"), ("ua", "hello"), ("ua", "HELLO "), ("ua", "tell me a joke")
    then = ("uaua", "hello", "Hi", "And a real question"), ("ua", "tell me a joke"), ("ua", "once only")
    asked = [talk(who, *texts, source=(0, n)) for n, (who, *texts) in enumerate((*first, *then))]
    assert chosen(FrequentQuestions(n=1), *asked) == [False, False, False, True, True, True, True]
    assert chosen(FrequentQuestions(n=2), *asked) == [False] * 4 + [True, False, True]
    assert chosen(FrequentQuestions(), talk("a"), talk("ua", " ")) == [False, False]
    assert chosen(FrequentQuestions(), side("q1", "a"), side("q1", "b")) == [True, True]


def test_answers_of_some_models_go_however_they_are_spelled() -> None:
    step = DropModels(names=["vicuna-33b"])
    assert reason(applied(step, talk("ua", model="Vicuna 33B"))) == "a model that is left out"
    assert isinstance(applied(step, talk("ua", model="vicuna-13b")), Record)
    assert isinstance(applied(step, talk("ua")), Record)


@pytest.mark.parametrize(
    ("blocked", "said"), [("计算机", "我的計算機"), ("計算機", "我的计算机"), ("發", "发"), ("tea", "Tea")]
)
def test_a_word_is_found_in_either_chinese_script(blocked: str, said: str) -> None:
    step = BlockedWords(words=[blocked], inside=True, both_scripts=True)
    assert reason(applied(step, talk("ua", said))) == "blocked word"
    record = applied(step, talk("ua", "什麼時候"))
    assert record.messages[0].content == "什麼時候"
    if blocked != "tea":
        assert isinstance(applied(BlockedWords(words=[blocked], inside=True), talk("ua", said)), Record)


# --- Battles ----------------------------------------------------------------------------------------------------------


def test_a_battle_of_which_one_side_is_gone_goes_whole() -> None:
    rows = [side("q1", "a"), side("q1", "b"), side("q2", "a", 1), talk("ua", id="q3_a"), talk("ua", id="other")]
    assert chosen(WholeBattles(), *rows) == [True, True, False, True, True]
    # Two parts of one side are no two sides, and one id in two files is no battle.
    assert chosen(WholeBattles(), side("q1", "a_0"), side("q1", "a_2")) == [False, False]
    assert chosen(WholeBattles(), side("q1", "a", 0), side("q1", "b", 9)) == [False, False]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_battles_are_drawn_with_both_sides(n: int, n_all: int, seed: int) -> None:
    rows = [side(f"q{k}", letter, k) for k in range(n_all) for letter in "ab"]
    drawn = chosen(SampleBattles(n=n, seed=seed), *rows)
    assert drawn[::2] == drawn[1::2]
    assert sum(drawn) == 2 * min(n, n_all)


# --- Fields -----------------------------------------------------------------------------------------------------------


def test_fields_go_and_get_other_names_and_none_is_written_over() -> None:
    record = talk("ua", fields={"tstamp": 1, "user_id": "u", "turn": 2})
    DropFields(names=["user_id", "ip"]).apply(record, notes := Notes())
    assert record.fields == {"tstamp": 1, "turn": 2}
    assert notes == {"user_id taken away": 1}
    RenameFields(names={"tstamp": "asked_at"}).apply(record, Notes())
    assert record.fields == {"asked_at": 1, "turn": 2}
    RenameFields(names={"turn": "asked_at"}).apply(record, notes := Notes())
    assert record.fields == {"asked_at": 1, "turn": 2}
    assert sum(notes.values()) == 1


def test_fields_of_another_file_come_to_the_row_of_their_id_and_missing_ones_are_counted() -> None:
    step = JoinFields(file=str(TAGS), fields=["toxic"])
    record = step.apply(talk("ua", id="a", fields={"toxic": None, "turn": 1}), Notes())
    assert isinstance(record, Record)
    assert record.fields == {"toxic": True, "turn": 1}
    seven = JoinFields(file=str(TAGS), fields=["toxic"], by="question_id").apply(
        talk("ua", id="a", fields={"question_id": 7}), Notes()
    )
    assert isinstance(seven, Record)
    assert seven.fields["toxic"] == {"score": 0.5}
    assert isinstance(step.apply(talk("ua", id="none"), notes := Notes()), Record)
    assert notes == {"not in tags.jsonl": 1}
    assert reason(applied(JoinFields(file=str(TAGS), fields=["toxic"], drop_missing=True), talk("ua"))) == (
        "not in tags.jsonl"
    )


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['{"id": "a", "toxic": 1}', '{"id": "a", "toxic": 2}'], "line 2: 'a' was there before"),
        (['{"toxic": 1}'], "line 1: expected an object with 'id'"),
        (['{"id": "a", "toxic": 1}', '{"id": '], "line 2"),
        (['{"id": "a", "toxic": 18446744073709551616}'], "line 1: .* 64-bit"),
    ],
)
def test_a_file_that_does_not_say_what_is_asked_is_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(OptionWrong, match=why):
        JoinFields(file=str(path), fields=["toxic"])


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    for toxic in (1, 22):
        path.write_text(json.dumps({"id": "c1", "toxic": toxic}) + "\n")
        record = JoinFields(file=str(path), fields=["toxic"]).apply(talk("ua"), Notes())
        assert isinstance(record, Record)
        assert record.fields == {"toxic": toxic}


# --- People -----------------------------------------------------------------------------------------------------------


def test_a_pseudonym_is_the_same_for_one_value_and_another_with_another_secret(tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_text("another secret of more than thirty-two bytes")

    def named(user: object, key: Path = RELEASE_KEY) -> object:
        step = Pseudonyms(fields=["user_id", "judge"], key_file=str(key))
        record = step.apply(talk("ua", fields={"user_id": user, "judge": user, "turn": 1}), Notes())
        assert isinstance(record, Record)
        assert record.fields["user_id"] == record.fields["judge"]
        assert record.fields["turn"] == 1
        return record.fields["user_id"]

    assert named("10.0.0.1") == named("10.0.0.1")
    assert len({named("10.0.0.1"), named("10.0.0.2"), named("10.0.0.1", other)}) == 3
    assert named(None) is None
    assert "10.0.0.1" not in str(named("10.0.0.1"))


def test_rows_with_values_that_few_have_go() -> None:
    rows = [talk("ua", model=model, fields={"user_id": user}) for model, user in zip("aaab", "xyyz", strict=True)]
    assert chosen(KAnonymous(fields=["model"], k=2), *rows) == [True, True, True, False]
    assert chosen(KAnonymous(fields=["model"], k=3), *rows) == [True, True, True, False]
    assert chosen(KAnonymous(fields=["model"], k=3, people="user_id"), *rows) == [False] * 4
    assert chosen(KAnonymous(fields=["model"], k=2, people="user_id"), *rows) == [True, True, True, False]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=20), st.integers(2, 4))
def test_whatever_stays_is_shared_by_k(values: list[tuple[str, str]], k: int) -> None:
    rows = [talk("ua", fields={"language": one, "country": other}) for one, other in values]
    kept = chosen(KAnonymous(fields=["language", "country"], k=k), *rows)
    counts = Counter(values)
    assert kept == [counts[pair] >= k for pair in values]
