"""Versions of datasets in Postgres: whole or not at all, never changed, and each row beside what it was made of."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from apps.datasets.errors import FolderWrong
from apps.datasets.folder import folder_read
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.services.versions import folder_store, version_delete
from tests.datasets.support import sharegpt, written

pytestmark = pytest.mark.django_db

RECIPE = """
name: tidy
steps: [trim_turns, html_to_markdown, unique_ids]
outputs:
  all: {}
  short: {from: all, steps: [single_round]}
"""


def dump(folder: Path, n: int = 5) -> Path:
    rows = [sharegpt(f"c{k}", f"<b>Question</b> {k}?", f"<p>Answer {k}</p>", "And?", "So.") for k in range(n)]
    return written(folder / "dump.jsonl", [*rows, rows[0], {"conversations": 7}])


def clean(folder: Path, *more: str, name: str = "tea", n: int = 5) -> Path:
    recipe, output = folder / "tidy.yaml", folder / f"out-{len(list(folder.glob('out-*')))}"
    recipe.write_text(RECIPE)
    arguments = [str(recipe), "--input", str(dump(folder, n)), "--output", str(output), "--workers", "1"]
    call_command("clean", *arguments, *(["--dataset", name] if name else []), *more)
    return output


def test_a_recipes_output_becomes_a_version_with_all_that_made_it(tmp_path: Path) -> None:
    output = clean(tmp_path, "--licence", "CC-BY-4.0")
    version = DatasetVersion.objects.get()
    report = json.loads((output / "report.json").read_text())
    assert (str(version), version.n_rows, version.licence) == ("tea@1", 10, "CC-BY-4.0")
    assert (version.recipe, version.code_version, version.steps) == (
        report["recipe"], report["code_sha256"], report["steps"],
    )  # fmt: skip
    assert version.recipe["steps"] == ["trim_turns", "html_to_markdown", "unique_ids"]
    assert version.inputs == [{"file": "dump.jsonl", "format": "sharegpt"}]
    assert version.card == (output / "README.md").read_text()
    for name in ("all", "short"):
        rows = DatasetRow.objects.filter(set_name=name).order_by("position")
        assert "".join(f"{row.line}\n" for row in rows) == (output / f"{name}.jsonl").read_text()
        assert version.sets[name]["sha256"] == report["sets"][name]["sha256"]
        assert version.sets[name]["n_rows"] == 5


def test_a_row_is_kept_beside_its_source(tmp_path: Path) -> None:
    clean(tmp_path)
    row = DatasetRow.objects.get(set_name="short", position=3)
    assert (row.record_id, row.source_file, row.source_record) == ("c3", "dump.jsonl", 3)
    assert row.steps == ["html_to_markdown", "single_round"]
    source = SourceRecord.objects.get(file="dump.jsonl", record=3)
    assert json.loads(source.value or "")["conversations"][0]["value"] == "<b>Question</b> 3?"
    # What was dropped, or could not be read, is no row's source.
    assert SourceRecord.objects.count() == 5
    clean(tmp_path, "--without-sources", name="bare")
    assert not SourceRecord.objects.filter(version__dataset__name="bare").exists()


def test_what_is_the_same_makes_no_version_and_what_is_not_makes_the_next(tmp_path: Path) -> None:
    clean(tmp_path)
    clean(tmp_path)
    assert [str(one) for one in DatasetVersion.objects.all()] == ["tea@1"]
    clean(tmp_path, "--licence", "MIT")
    clean(tmp_path, n=6)
    assert [str(one) for one in DatasetVersion.objects.all()] == ["tea@3", "tea@2", "tea@1"]


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    clean(tmp_path)
    version_delete(DatasetVersion.objects.get())
    assert not DatasetRow.objects.exists()
    assert not SourceRecord.objects.exists()
    clean(tmp_path)
    assert str(DatasetVersion.objects.get()) == "tea@2"


def test_a_folder_that_is_no_longer_what_its_report_says_leaves_nothing(tmp_path: Path) -> None:
    output = clean(tmp_path, name="")
    with (output / "short.jsonl").open("a") as file:
        file.write('{"id": "late", "messages": [], "source": {}}\n')
    with pytest.raises(FolderWrong, match="SHA-256"):
        folder_store("tea", folder_read(output))
    assert not Dataset.objects.exists()
    assert not DatasetRow.objects.exists()


def test_a_folder_that_has_changed_is_not_the_version_that_was_stored_from_it(tmp_path: Path) -> None:
    output = clean(tmp_path)
    (output / "short.jsonl").write_text("")
    with pytest.raises(FolderWrong, match="SHA-256"):
        folder_store("tea", folder_read(output))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "no object"),
        ("{}", "where it comes from"),
        ('{"source": {}}', "no conversation"),
        ('{"source": {"file": 7}}', "file"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, reason: str) -> None:
    output = clean(tmp_path, name="")
    (output / "all.jsonl").write_text(line + "\n")
    with pytest.raises(FolderWrong, match=f"line 1 of all: .*{reason}"):
        folder_store("tea", folder_read(output))
    assert not DatasetVersion.objects.exists()


@pytest.mark.parametrize(
    "report",
    [
        "", "[]", "{}", '{"recipe": {}, "code_sha256": "", "inputs": [], "steps": [], "sets": {"a": {}}}',
        {"sets": {}}, {"sets": {"a": 7}}, {"sets": {"a": {"file": "a.jsonl", "steps": {}}}}, {"inputs": ["dump.json"]},
        {"sets": {"a": {"file": "a.jsonl"}}},
        {"steps": [{"name": "trim"}]}, {"steps": ["trim"]}, {"code_sha256": "0" * 65}, {"recipe": {"n": float("nan")}},
        {"steps": [{"name": "trim", "dropped": {"why": "many"}, "notes": {}}]},
    ],
)  # fmt: skip
def test_a_folder_without_a_report_is_refused(tmp_path: Path, report: str | dict[str, Any]) -> None:
    whole: dict[str, Any] = {"recipe": {}, "code_sha256": "", "inputs": [], "steps": []}
    whole["sets"] = {"a": {"file": "a.jsonl", "steps": []}}
    (tmp_path / "README.md").write_text("# Tea")
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "report.json").write_text(json.dumps(whole))
    assert folder_read(tmp_path).report == whole
    (tmp_path / "report.json").write_text(report if isinstance(report, str) else json.dumps(whole | report))
    with pytest.raises(FolderWrong):
        folder_read(tmp_path)


def test_what_is_in_a_version_is_counted_and_not_believed(tmp_path: Path) -> None:
    output = clean(tmp_path, name="")
    report = json.loads((output / "report.json").read_text())
    true = {name: dict(told) for name, told in report["sets"].items()}
    report["sets"]["all"]["n_messages"] = 10**9
    del report["sets"]["short"]["lengths"]
    report["recipe"]["note"] = "a\0b"
    (output / "report.json").write_text(json.dumps(report))
    version, _ = folder_store("tea", folder_read(output))
    for name, told in true.items():
        assert version.sets[name]["n_messages"] == told["n_messages"]
        assert version.sets[name]["lengths"] == told["lengths"]
    assert version.recipe["note"] == "ab"


def stored(output: Path, **line: Any) -> DatasetRow:
    """As the only row of `all`."""
    report = json.loads((output / "report.json").read_text())
    (output / "all.jsonl").write_text(json.dumps({"id": "1", "messages": [], **line}) + "\n")
    del report["sets"]["all"]["sha256"]
    (output / "report.json").write_text(json.dumps(report))
    folder_store("tea", folder_read(output))
    return DatasetRow.objects.get(set_name="all")


def test_an_id_that_postgres_cannot_keep_is_kept_without_what_it_cannot(tmp_path: Path) -> None:
    row = stored(clean(tmp_path, name=""), id="a\0b", source={"file": "c\0d", "record": 1, "steps": ["e\0"]})
    assert (row.record_id, row.source_file, row.steps) == ("ab", "cd", ["e"])


def test_a_record_far_away_costs_no_more_than_another(tmp_path: Path) -> None:
    row = stored(clean(tmp_path, name=""), source={"file": "x", "record": 10**15})
    assert (row.source_file, row.source_record) == ("x", 10**15)


def test_a_file_elsewhere_is_no_set(tmp_path: Path) -> None:
    output = clean(tmp_path, name="")
    report = json.loads((output / "report.json").read_text())
    report["sets"]["all"]["file"] = "../dump.jsonl"
    (output / "report.json").write_text(json.dumps(report))
    with pytest.raises(FolderWrong, match="no all"):
        folder_read(output)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE datasets_datasetversion SET licence = 'mine'",
        "UPDATE datasets_datasetversion SET is_sealed = false",
        "UPDATE datasets_datasetrow SET line = '{}' WHERE position = 1",
        "UPDATE datasets_datasetrow SET position = position + 100",
        "UPDATE datasets_sourcerecord SET value = '{}'",
        "DELETE FROM datasets_datasetrow WHERE position = 0",
        "DELETE FROM datasets_sourcerecord",
        "INSERT INTO datasets_datasetrow (version_id, set_name, position, record_id, source_file, steps, line)"
        " SELECT version_id, set_name, 100, record_id, source_file, steps, line FROM datasets_datasetrow LIMIT 1",
        "INSERT INTO datasets_sourcerecord (version_id, file, record, format)"
        " SELECT version_id, file, 100, format FROM datasets_sourcerecord LIMIT 1",
    ],
)
def test_the_database_refuses_to_change_a_version(tmp_path: Path, statement: str) -> None:
    clean(tmp_path)
    before = all_of_it()
    with pytest.raises(DatabaseError, match=r"dataset|row"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert all_of_it() == before


def all_of_it() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (DatasetVersion, DatasetRow, SourceRecord)]


@pytest.mark.parametrize("name", ["a b", "../a", "", "a" * 101, "-a", "tea@2"])
def test_a_name_that_is_none_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="names no dataset"):
        call_command(
            "clean", str(tmp_path / "no.yaml"), "--input", "no.json", "--output", str(tmp_path / "o"),
            f"--dataset={name}",
        )  # fmt: skip


@pytest.mark.parametrize("outputs", ["{-a: {}}", "{Übung: {}}"])
def test_a_set_that_cannot_be_stored_is_refused_before_the_work(tmp_path: Path, outputs: str) -> None:
    recipe, output = tmp_path / "r.yaml", tmp_path / "o"
    recipe.write_text(f"outputs: {outputs}")
    arguments = [str(recipe), "--input", str(dump(tmp_path)), "--output", str(output), "--workers", "1"]
    with pytest.raises(CommandError, match="no set"):
        call_command("clean", *arguments, "--dataset=tea")
    assert not output.exists()


def test_a_licence_that_is_too_long_is_refused_before_the_work() -> None:
    with pytest.raises(CommandError, match="200 characters"):
        call_command("clean", "no.yaml", "--input", "no.json", "--output", "o", "--licence", "x" * 201)


@pytest.mark.parametrize(
    "options", [["--output", "o", "--licence", "MIT"], ["--dry-run", "5", "--dataset", "tea"]], ids=["licence", "dry"]
)
def test_options_that_mean_nothing_alone_are_refused(options: list[str]) -> None:
    with pytest.raises(CommandError, match="dataset"):
        call_command("clean", "no.yaml", "--input", "no.json", *options)
