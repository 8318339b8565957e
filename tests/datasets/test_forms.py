"""Sets as Alpaca has them, and as prompts with completions: what cannot be written so is counted, the rest is whole."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from hypothesis import given

from apps.datasets.formats.shapes import Shape, records_read, shape_of
from apps.datasets.formats.writing import Form, misfit, rendered
from apps.datasets.records import Message, Record, Role
from apps.datasets.steps.base import OptionWrong
from apps.datasets.steps.form import FitsForm
from tests.datasets.support import Notes, clean, lines_of, reason, recipe, records, talk, written

SHAPES = {Form.ALPACA: Shape.ALPACA, Form.COMPLETION: Shape.COMPLETION}


def said(messages: Iterable[Message]) -> list[tuple[str, str, Any]]:
    """An empty message to the system says nothing."""
    return [(m.role, m.content, m.extra) for m in messages if m.content or m.role != Role.SYSTEM]


@pytest.mark.parametrize("form", SHAPES)
@given(record=records)
def test_what_fits_is_read_again_as_it_was(form: Form, record: Record) -> None:
    if misfit(record, form) is not None:
        return
    value = orjson.loads(rendered(record, form, ("dump.json",)))
    assert shape_of(value) is SHAPES[form]
    [again] = records_read(SHAPES[form], value, (0, 0))
    assert said(again.messages) == said(record.messages)
    assert again.id == record.id


def test_the_fields_are_those_of_each_format_in_every_row() -> None:
    long, short = talk("suaua", "Be short.", "Tea?", "Yes.", "Milk?", "No."), talk("ua", "Tea?", "Yes.", id="c2")
    alpaca = [orjson.loads(rendered(one, Form.ALPACA, ("f",))) for one in (long, short)]
    assert alpaca[0] == {
        "id": "c1", "system": "Be short.", "instruction": "Milk?", "input": "", "output": "No.",
        "history": [["Tea?", "Yes."]], "source": {"file": "f", "record": 0, "steps": []},
    }  # fmt: skip
    assert (alpaca[1]["system"], alpaca[1]["history"]) == ("", [])
    assert alpaca[0].keys() == alpaca[1].keys()
    completion = orjson.loads(rendered(long, Form.COMPLETION, ("f",)))
    assert completion["completion"] == [{"role": "assistant", "content": "No."}]
    assert [one["role"] for one in completion["prompt"]] == ["system", "user", "assistant", "user"]


def test_a_field_that_the_format_needs_is_kept_under_another_name() -> None:
    record = talk("ua", "Tea?", "Yes.", fields={"input": "mine", "history": [1]})
    value = orjson.loads(rendered(record, Form.ALPACA, ("f",)))
    assert (value["original_input"], value["original_history"], value["input"]) == ("mine", [1], "")


def calling() -> Record:
    record = talk("uatua", "Tea?", "", "5", "And?", "Yes.")
    record.messages[1].extra = {"tool_calls": [{"id": "1"}]}
    return record


@pytest.mark.parametrize(
    ("record", "form", "why"),
    [
        (talk("u"), "alpaca", "cannot be written as alpaca: no answer at the end"),
        (talk("uaa"), "alpaca", "cannot be written as alpaca: not questions and answers alone"),
        (talk("sa"), "alpaca", "cannot be written as alpaca: not questions and answers alone"),
        (talk("usua"), "alpaca", "cannot be written as alpaca: not questions and answers alone"),
        (calling(), "alpaca", "cannot be written as alpaca: a message with more than a text"),
        (talk("u"), "completion", "cannot be written as completion: no answer at the end"),
        (talk("u", chosen=[], rejected=[]), "completion", "cannot be written as completion: a pair of answers"),
        (talk("u", chosen=[], rejected=[]), "alpaca", "cannot be written as alpaca: a pair of answers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_goes_with_its_reason(record: Record, form: str, why: str) -> None:
    assert reason(FitsForm(form).apply(record, Notes())) == why


def test_calls_of_tools_fit_where_messages_do() -> None:
    record = calling()
    assert FitsForm("completion").apply(record, Notes()) is record
    [again] = records_read(Shape.COMPLETION, orjson.loads(rendered(record, Form.COMPLETION, ("f",))), (0, 0))
    assert said(again.messages) == said(record.messages)
    assert all(FitsForm(str(form)).apply(talk("aa"), Notes()) for form in (Form.MESSAGES, Form.SHAREGPT))
    with pytest.raises(OptionWrong, match="and not 'text'"):
        FitsForm("text")


def test_each_set_drops_what_it_cannot_hold_and_those_made_of_it_have_it_still(tmp_path: Path) -> None:
    talks = [talk("ua", f"Tea {n}?", "Yes.", id=f"c{n}") for n in range(300)]
    talks += [talk("uaa", "Milk?", "No.", "Well.", id=f"d{n}") for n in range(7)]
    rows = [{"id": one.id, "messages": [{"role": m.role, "content": m.content} for m in one.messages]} for one in talks]
    outputs: dict[str, Any] = {"all": {}, "first": {"from": "all", "steps": ["single_round"]}}
    path = written(tmp_path / "dump.jsonl", rows)
    made = clean(tmp_path, path, recipe=recipe(outputs=outputs), form=Form.ALPACA, n_workers=2)
    every, first = made.sets
    why = "cannot be written as alpaca: not questions and answers alone"
    assert [(report.name, report.n_in, report.n_out, dict(report.dropped)) for report in every.reports] == [
        ("fits_form", 307, 300, {why: 7})
    ]
    assert [report.name for report in first.reports] == ["single_round", "fits_form"]
    assert (every.written.n_conversations, first.written.n_conversations) == (300, 307)
    assert {row["output"] for row in lines_of(first.path)} == {"Yes.", "No."}
    one = clean(tmp_path, path, recipe=recipe(outputs=outputs), form=Form.ALPACA, n_workers=1, name="one")
    assert one.sets[0].path.read_bytes() == every.path.read_bytes()


@pytest.mark.django_db
@pytest.mark.parametrize("form", SHAPES)
def test_such_a_set_is_a_version_as_any_other(form: Form, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": f"c{n}", "prompt": f"Tea {n}?", "completion": "Yes."} for n in range(3)]
    path = written(tmp_path / "dump.jsonl", rows)
    (tmp_path / "all.yaml").write_text("steps: [{replace_text: {pairs: {'Yes': 'No'}}}]")
    more = ["--output", tmp_path / "out", "--write", str(form), "--dataset", "tea"]
    call_command("clean", tmp_path / "all.yaml", "--input", path, *more)
    call_command("dataset", "inspect", "tea", "--id", "c1")
    told = capsys.readouterr().out
    assert "[-Yes-]" in told
    assert "{+No+}" in told
    call_command("dataset", "export", "tea@1", tmp_path / "again")
    assert (tmp_path / "again" / "all.jsonl").read_bytes() == (tmp_path / "out" / "all.jsonl").read_bytes()
    call_command("dataset", "check", tmp_path / "out" / "all.jsonl")
    assert json.loads((tmp_path / "again" / "report.json").read_text())["sets"]["all"]["n_conversations"] == 3
