"""`manage.py dataset check` names file, line, record, field, what was found, what was expected, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.datasets.support import sharegpt, written

GOOD = sharegpt("1", "Hi", "Ho")


def checked(capsys: pytest.CaptureFixture[str], *paths: Path, **options: Any) -> tuple[str, str]:
    """What is printed, and the words of the refusal."""
    refusal = ""
    try:
        call_command("dataset", "check", *map(str, paths), **options)
    except CommandError as exc:
        refusal = str(exc)
    return capsys.readouterr().out, refusal


def test_a_file_that_is_fit_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "t.jsonl", [GOOD, sharegpt("2", "Hi", "Ho", "And?", "So.")])
    assert checked(capsys, path) == (f"{path}: 2 records of sharegpt, 0 with a fault\n", "")


def test_equal_ids_are_found_also_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([GOOD, sharegpt("2", "Hi", "Ho"), GOOD]))
    out, refusal = checked(capsys, path)
    assert f"{path}, line 1, record 2, id: found '1', expected one of its own; line 1, record 0 has it too" in out
    assert refusal.startswith("1 record")


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ({"chosen": " "}, "chosen 0: found ' ', expected a text"),
        ({"rejected": [{"role": "cat", "content": "No"}]}, "rejected 0: found 'cat', expected system, user"),
        ({"rejected": [{"role": "user", "content": "No"}]}, "rejected: found 'uu', expected user and assistant"),
        (
            {"chosen": [{"role": "assistant", "content": "Ho"}, {"role": "user", "content": "So"}]},
            "chosen: found 'uau'",
        ),
        ({"prompt": [{"role": "user", "content": ""}]}, "message 0: found '', expected a text"),
    ],
)
def test_both_answers_of_a_pair_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: dict[str, Any], says: str
) -> None:
    good = {"prompt": "Hi", "chosen": "Ho", "rejected": "No"}
    out, refusal = checked(capsys, written(tmp_path / "t.jsonl", [good, good | pair]))
    assert f"line 2, record 1, {says}" in out
    assert refusal.startswith("1 record")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (sharegpt("1", "Hi", "Ho"), "id: found '1', expected one of its own; line 1, record 0 has it too"),
        (sharegpt("2", "Hi"), "messages: found 'u', expected an answer at the end"),
        (sharegpt("2", "Hi", " "), "message 1: found ' ', expected a text"),
        ({"id": "2", "conversations": [{"from": "gpt", "value": "Ho"}]}, "messages: found 'a', expected user and"),
        ({"id": "2", "conversations": [{"from": "cat", "value": "Ho"}]}, "message 0: found 'cat', expected system"),
        ({"id": "2", "conversations": []}, "messages: found '', expected an answer at the end"),
        ({"id": "2", "conversations": {}}, "conversations: found {}, expected a list of messages"),
    ],
)
def test_a_fault_is_named_by_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], says: str
) -> None:
    path = written(tmp_path / "t.jsonl", [GOOD, wrong])
    out, refusal = checked(capsys, path)
    assert f"{path}, line 2, record 1, {says}" in out
    assert "2 records of sharegpt, 1 with a fault" in out
    assert refusal == "1 record(s) cannot be trained on as they are"


def test_broken_json_is_named_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{{nope}}\n")
    out, _ = checked(capsys, path)
    assert "line 2, record 1, record: found 'not JSON" in out


def test_many_faults_are_counted_and_the_first_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "t.jsonl", [sharegpt(str(n), "Hi") for n in range(50)])
    out, refusal = checked(capsys, path)
    assert out.count("expected an answer") == 20
    assert "--all shows the others" in out
    assert refusal.startswith("50 record(s)")
    out, _ = checked(capsys, path, all=True)
    assert out.count("expected an answer") == 50


def test_what_clean_wrote_is_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = written(tmp_path / "raw.jsonl", [sharegpt("1", "Hi", "<p>Ho</p>", "And?"), sharegpt("1", "Hi", "Ho")])
    recipe = tmp_path / "r.yaml"
    recipe.write_text("steps: [trim_turns, take_turns, html_to_markdown, unique_ids]")
    assert checked(capsys, raw)[1]
    call_command("clean", str(recipe), input=[raw], output=tmp_path / "out", workers=1)
    capsys.readouterr()
    assert checked(capsys, tmp_path / "out" / "r.jsonl")[1] == ""
