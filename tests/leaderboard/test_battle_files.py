"""FastChat's clean-battle files: read piece by piece, refused by line and field, cleaned by rules that have counts."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.leaderboard.battle_files.reading import battles_read
from apps.leaderboard.battle_files.rules import Cleaning, Reason
from apps.leaderboard.errors import BattleFileCut, BattleFileRefused, BattleFileUnreadable
from apps.leaderboard.rating.battles import Battles, Outcome
from apps.leaderboard.rating.board import BoardConfig, board_make


def row(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "question_id": f"{number:032x}", "model_a": "owl", "model_b": "fox", "winner": "model_a",
        "judge": f"arena_user_{number}", "turn": 1, "anony": True, "language": "English", "tstamp": 1.7e9 + number,
    } | fields  # fmt: skip


def talk(answer: str, question: str = "Hi") -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer, "num_tokens": 3}]


def written(folder: Path, text: str) -> Path:
    path = folder / "battles.json"
    path.write_text(text)
    return path


def read(folder: Path, *rows: Any, cleaning: Cleaning | None = None, **options: Any) -> Any:
    return battles_read(written(folder, json.dumps(list(rows))), cleaning or Cleaning(), **options)


@pytest.mark.parametrize("cut", [1, 2, 9, 300])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    """What it lost, nobody would miss."""
    rows = [row(0), row(1), row(2)]
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\n".join(map(json.dumps, rows))):
        with pytest.raises(BattleFileCut, match="Get the"):
            battles_read(written(tmp_path, text[:-cut]), Cleaning())


def test_a_file_of_one_line_is_refused_at_its_broken_row_since_the_rest_cannot_be_told_apart(tmp_path: Path) -> None:
    text = json.dumps([row(0), row(1), row(2)]).replace(f'"{row(1)["question_id"]}"', "nope")
    with pytest.raises(BattleFileCut, match=r"Line 1: not JSON.*no later line begins as a row does"):
        battles_read(written(tmp_path, text), Cleaning())
    with pytest.raises(BattleFileCut, match="something follows"):
        battles_read(written(tmp_path, json.dumps([row(0)]) + json.dumps([row(1)])), Cleaning())


def test_a_file_becomes_battles_whose_numbers_do_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = [
        row(1),
        row(2, winner="model_b", judge="arena_user_1"),
        row(3, winner="tie", model_a="ant"),
        row(4, winner="tie (bothbad)", model_a="ant", judge=None),
    ]
    battles, reading = read(tmp_path, *rows)
    again, _ = read(tmp_path, *rows[::-1])
    assert battles.names == ("ant", "fox", "owl")
    assert sorted(battles.outcome) == [Outcome.FIRST, Outcome.SECOND, Outcome.TIE, Outcome.TIE]
    assert len(set(battles.voter)) == 3
    assert (reading.n_rows, reading.n_kept) == (4, 4)
    for column in ("first", "second", "outcome", "weight", "voter", "time"):
        assert sorted(getattr(battles, column)) == sorted(getattr(again, column))
    for one, other in zip(astuple(battles.by_voter().cells), astuple(again.by_voter().cells), strict=True):
        np.testing.assert_array_equal(one, other)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"winner": "model_c"}, "winner"),
    ({"winner": 1}, "winner"),
    ({"model_b": "owl"}, "model_b"),
    ({"model_a": ""}, "model_a"),
    ({"model_a": None}, "model_a"),
    ({"model_a": "x" * 201}, "model_a"),
    ({"model_a": "owl\ud800"}, "model_a"),
    ({"anony": "yes"}, "anony"),
    ({"tstamp": "now"}, "tstamp"),
    ({"judge": ["alice"]}, "judge"),
    ({"conversation_a": "Hi"}, "conversation_a"),
    ({"conversation_b": [{"role": "assistant", "content": 7}]}, "conversation_b"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG)
def test_a_wrong_field_is_counted_and_with_strict_refused_by_line_and_name(
    tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    rows = [row(0), row(1, **fields)]
    battles, reading = read(tmp_path, *rows)
    assert (len(battles), reading.dropped) == (1, {Reason.BAD_FIELD: 1})
    assert named in reading.messages[0]
    path = written(tmp_path, "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]")
    with pytest.raises(BattleFileRefused, match=f"Line 3: {named}"):
        battles_read(path, Cleaning(), is_strict=True)


@pytest.mark.parametrize("field", ["model_a", "model_b", "winner"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    without = {name: value for name, value in row().items() if name != field}
    _, reading = read(tmp_path, without)
    assert reading.messages == [f"line 1: {field}: is missing"]


def test_the_second_of_two_rows_with_one_id_is_a_duplicate(tmp_path: Path) -> None:
    _, reading = read(tmp_path, row(5), row(5))
    assert reading.dropped == {Reason.DUPLICATE: 1}
    with pytest.raises(BattleFileRefused, match="question_id"):
        read(tmp_path, row(5), row(5), is_strict=True)


def test_bytes_that_are_no_text_and_things_that_are_no_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "battles.json"
    path.write_bytes(b'\xef\xbb\xbf[{"model_a": "\xff", "model_b": "fox", "winner": "tie"}, 7, "row", null]')
    battles, reading = battles_read(path, Cleaning())
    assert (len(battles), reading.dropped) == (0, {Reason.BAD_FIELD: 4})


def test_only_the_first_refusals_are_told_and_all_are_counted(tmp_path: Path) -> None:
    _, reading = read(tmp_path, *(row(i, winner="?") for i in range(25)))
    assert (len(reading.messages), reading.dropped[Reason.BAD_FIELD]) == (10, 25)


def test_each_rule_counts_what_it_leaves_out(tmp_path: Path) -> None:
    fine = talk("Hay, mostly.")
    rows = [
        row(0, conversation_a=fine, conversation_b=fine),
        row(1, anony=False),
        row(2, model_a="bat"),
        row(3, conversation_a=talk(" "), conversation_b=fine),
        row(4, conversation_a=fine, conversation_b=talk("**API REQUEST ERROR** Reason: timeout")),
        row(5, conversation_a=talk("Well, it is▌"), conversation_b=fine),
        row(6, conversation_a=talk("I am Vicuna, made by LMSYS."), conversation_b=fine),
    ]
    battles, reading = read(tmp_path, *rows, cleaning=Cleaning(frozenset({"bat"})))
    assert len(battles) == 1
    assert reading.dropped == {
        Reason.NOT_ANONYMOUS: 1,
        Reason.EXCLUDED: 1,
        Reason.EMPTY_ANSWER: 1,
        Reason.ERROR_ANSWER: 1,
        Reason.UNFINISHED_ANSWER: 1,
        Reason.IDENTITY_TOLD: 1,
    }


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Are you ChatGPT or Claude?", "Let us talk about hay."),
        ("What do llamas eat?", "Llamas eat hay; google it. Palm trees grow in Alibaba's tale."),
        ("Print a cursor", "Here: ▌ is U+258C."),
        ("What does API REQUEST ERROR mean?", "The text API REQUEST ERROR is what a gateway prints."),
    ],
)
def test_what_fastchat_drops_by_mistake_stays(tmp_path: Path, question: str, answer: str) -> None:
    battles, _ = read(tmp_path, row(conversation_a=talk(answer, question), conversation_b=talk("Hay.", question)))
    assert len(battles) == 1


def test_battles_with_known_names_enter_when_asked_for(tmp_path: Path) -> None:
    battles, _ = read(tmp_path, row(anony=False), cleaning=Cleaning(takes_named=True))
    assert len(battles) == 1


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(BattleFileUnreadable, match=str(path)):
            battles_read(path, Cleaning())


def test_a_thousand_rows_make_the_board_that_their_arrays_make(tmp_path: Path) -> None:
    winners = ["model_a", "model_b", "tie", "model_a"]
    rows = [
        row(i, model_a=f"m{i % 5}", model_b=f"m{(i + 1 + i % 3) % 5}", winner=winners[i * 7 % 4]) for i in range(999)
    ]
    battles, _ = read(tmp_path, *rows)
    names = tuple(f"m{i}" for i in range(5))
    direct = Battles.of(
        names,
        first=battles.first,
        second=battles.second,
        outcome=battles.outcome,
        voter=battles.voter,
    )
    assert board_make(battles, BoardConfig()) == board_make(direct, BoardConfig())
    assert sum(board_row.n_battles for board_row in board_make(battles, BoardConfig()).rows) == 2 * 999
