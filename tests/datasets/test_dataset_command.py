"""`manage.py dataset`: what there is of datasets, and versions made of versions."""

import io
import json
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.datasets.models import DatasetRow, DatasetVersion, SourceRecord
from tests.datasets.support import lines_of, sharegpt, written
from tests.datasets.test_versions import clean

pytestmark = pytest.mark.django_db


def dataset(*arguments: object) -> str:
    out = io.StringIO()
    call_command("dataset", *map(str, arguments), stdout=out)
    return out.getvalue()


def rows(version: str, set_name: str) -> list[dict[str, object]]:
    name, number = version.split("@")
    found = DatasetRow.objects.filter(version__dataset__name=name, version__number=number, set_name=set_name)
    return [json.loads(line or "") for line in found.order_by("position").values_list("line", flat=True)]


def test_versions_are_listed_and_shown(tmp_path: Path) -> None:
    clean(tmp_path, "--licence", "CC-BY-4.0")
    clean(tmp_path, n=6)
    listed = dataset("list").splitlines()
    assert [line.split()[0] for line in listed] == ["tea@2", "tea@1"]
    assert "all 6, short 6" in listed[0]
    shown = dataset("show", "tea@1")
    assert "licence: CC-BY-4.0" in shown
    assert "id was there before" in shown
    assert "from dump.jsonl" in shown
    assert DatasetVersion.objects.get(number=1).hash in shown
    assert "licence: not said" in dataset("show", "tea")


def test_what_is_in_a_version_is_counted(tmp_path: Path) -> None:
    clean(tmp_path)
    told = dataset("stats", "tea@1/short").splitlines()
    assert told[0].startswith("short: 5 conversations, 10 messages, ")
    assert [line.split() for line in told if "single_round" in line] == [["single_round", "5"]]
    assert "all: 5" in dataset("stats", "tea")


def test_a_row_is_printed_beside_its_source(tmp_path: Path) -> None:
    clean(tmp_path)
    told = dataset("inspect", "tea@1/short", "--id", "c3")
    assert "record 3 of dump.jsonl" in told
    assert "[-<b>-]{+**+}Question[-</b>-]{+**+} 3?" in told
    assert "[-And?-]" in told
    assert told == dataset("inspect", "tea/short", "--row", "3")
    clean(tmp_path, "--without-sources", name="bare")
    bare = dataset("inspect", "bare", "--row", "0")
    assert "is not kept" in bare
    assert "**Question** 0?" in bare


def test_what_has_changed_between_versions_is_told_by_id(tmp_path: Path) -> None:
    clean(tmp_path)
    clean(tmp_path, n=7)
    recipe = tmp_path / "other.yaml"
    recipe.write_text("name: tidy\nsteps: [trim_turns, {slice: {begin: 1}}]\noutputs: {all: {}}")
    files = ["--input", str(tmp_path / "dump.jsonl"), "--output", str(tmp_path / "o"), "--workers", "1"]
    call_command("clean", str(recipe), *files, "--dataset=tea")
    told = dataset("diff", "tea@1", "tea@2").splitlines()
    assert told == ["all: 5 the same, 0 changed, 2 added, 0 removed", "  added: c5, c6",
                    "short: 5 the same, 0 changed, 2 added, 0 removed", "  added: c5, c6"]  # fmt: skip
    told = dataset("diff", "tea@2", "tea@3").splitlines()
    assert told[0].startswith("recipe: tidy ")
    assert "all: 0 the same, 7 changed, 0 added, 0 removed" in told
    assert "short: 0 the same, 0 changed, 0 added, 7 removed" in told


def test_a_version_that_is_exported_and_imported_is_the_same(tmp_path: Path) -> None:
    output = clean(tmp_path)
    folder = tmp_path / "exported"
    assert "5 conversations" in dataset("export", "tea@1", folder)
    for name in ("all.jsonl", "short.jsonl", "README.md"):
        assert (folder / name).read_bytes() == (output / name).read_bytes()
    dataset("import", "again", folder, "--source", tmp_path / "dump.jsonl")
    old, new = DatasetVersion.objects.order_by("pk")
    assert (new.hash, new.recipe, new.steps, new.sets) == (old.hash, old.recipe, old.steps, old.sets)
    assert SourceRecord.objects.filter(version=new).count() == 5
    with pytest.raises(CommandError, match="is there already"):
        dataset("export", "tea@1", folder)


def test_an_erased_row_is_an_empty_place_and_is_in_no_export(tmp_path: Path) -> None:
    clean(tmp_path)
    DatasetRow.objects.filter(position=2).update(line=None, record_id="")
    assert "2 rows were erased" in dataset("show", "tea")
    assert "It was erased." in dataset("inspect", "tea", "--row", "2")
    assert "1 were erased" in dataset("export", "tea@1/all", tmp_path / "exported")
    exported = lines_of(tmp_path / "exported" / "all.jsonl")
    assert [row["id"] for row in exported] == ["c0", "c1", "c3", "c4"]
    told = json.loads((tmp_path / "exported" / "report.json").read_text())["sets"]["all"]
    assert (told["n_rows"], told["n_conversations"], told["n_messages"]) == (4, 4, 16)
    for more in ([], ["--huggingface"]):
        dataset("export", "tea@1", tmp_path / f"told{len(more)}", *more)
        card = (tmp_path / f"told{len(more)}" / "README.md").read_text()
        assert re.search(r"1 rows of it were erased since: \S*all\S* has 4\.", card)
    dataset("import", "again", tmp_path / "exported")
    assert DatasetVersion.objects.get(dataset__name="again").n_rows == 4


def test_files_of_any_format_are_imported_as_they_are(tmp_path: Path) -> None:
    pairs = [{"instruction": f"Question {n}?", "output": f"<b>Answer</b> {n}"} for n in range(3)]
    told = dataset("import", "alpaca", written(tmp_path / "pairs.json", [*pairs, {"instruction": 1, "output": ""}]))
    assert "1 left out: cannot be read" in told
    assert "alpaca@1  3 rows" in told
    assert rows("alpaca@1", "alpaca")[1]["messages"] == [
        {"role": "user", "content": "Question 1?"}, {"role": "assistant", "content": "<b>Answer</b> 1"},
    ]  # fmt: skip
    assert SourceRecord.objects.filter(format="alpaca").count() == 3


def test_merged_rows_say_from_which_version_they_come(tmp_path: Path) -> None:
    clean(tmp_path)
    other = written(tmp_path / "dump2.json", [sharegpt("c0", "Another question?", "Yes."), sharegpt("d", "Q?", "A.")])
    dataset("import", "other", other)
    dataset("import", "twice", tmp_path / "dump.jsonl")
    told = dataset("merge", "both", "tea@1/all", "tea@1/short")
    assert "both@1  10 rows" in told
    DatasetVersion.objects.filter(dataset__name="both").delete()
    # Sets of one name become one.
    dataset("import", "all", other)
    dataset("merge", "both", "tea@1/all", "all")
    made = rows("both@2", "all")
    assert [row["id"] for row in made] == ["c0", "c1", "c2", "c3", "c4", "c0~all@1", "d"]
    assert made[1]["source"] == {
        "file": "tea@1:dump.jsonl", "record": 1, "steps": ["html_to_markdown"], "row": "tea@1/all:1",
    }  # fmt: skip
    assert made[6]["source"] == {"file": "all@1:dump2.json", "record": 1, "steps": [], "row": "all@1/all:1"}
    assert "got another id" in dataset("show", "both")
    assert "[-<b>-]" in dataset("inspect", "both", "--id", "c3")


def test_a_row_that_says_the_same_is_merged_once(tmp_path: Path) -> None:
    clean(tmp_path)
    clean(tmp_path, "--licence", "MIT")
    dataset("merge", "both", "tea@1/all", "tea@2/all")
    version = DatasetVersion.objects.get(dataset__name="both")
    assert (version.n_rows, version.licence) == (5, "MIT")
    assert version.sets["all"]["steps"][0]["dropped"] == {"the same row was there before": 5}
    assert version.inputs[0]["sha256"] == DatasetVersion.objects.get(dataset__name="tea", number=1).hash


def test_a_merge_of_a_merge_gives_no_id_twice(tmp_path: Path) -> None:
    clean(tmp_path)
    dataset("import", "all", written(tmp_path / "dump2.json", [sharegpt("c0", "Another question?", "Yes.")]))
    dataset("merge", "both", "tea@1/all", "all")
    dataset("merge", "again", "both/all", "all")
    ids = [row["id"] for row in rows("again@1", "all")]
    assert ids[5:] == ["c0~all@1", "c0~all@1~all@1"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["FOLDER", "--format", "sharegpt"], "--format"),
        (["FOLDER", "--strict"], "--strict"),
        (["FOLDER", "--source", "OTHER"], "made of dump.jsonl, and not of other.jsonl"),
        (["DUMP", "--source", "OTHER"], "own sources"),
    ],
)
def test_options_that_an_import_has_no_use_for_are_refused(tmp_path: Path, arguments: list[str], reason: str) -> None:
    folder = clean(tmp_path, name="")
    other = written(tmp_path / "other.jsonl", [sharegpt("c0", "Hi", "Ho")])
    known = {"FOLDER": folder, "OTHER": other, "DUMP": tmp_path / "dump.jsonl"}
    with pytest.raises(CommandError, match=reason):
        dataset("import", "tea", *(known.get(one, one) for one in arguments))
    assert not DatasetVersion.objects.exists()


def test_a_version_that_the_end_of_a_run_did_not_store_is_stored_from_its_folder(tmp_path: Path) -> None:
    folder = clean(tmp_path, name="")
    dataset("import", "tea", folder, "--source", tmp_path / "dump.jsonl", "--format", "sharegpt")
    clean(tmp_path, name="cold")
    late, usual = DatasetVersion.objects.order_by("pk")
    assert (late.hash, late.recipe, late.sets) == (usual.hash, usual.recipe, usual.sets)
    assert SourceRecord.objects.filter(version=late).count() == 5


def test_a_set_alone_is_shown_and_versions_are_compared_whole(tmp_path: Path) -> None:
    clean(tmp_path)
    assert "all: 5 rows" in dataset("show", "tea")
    assert "all: 5 rows" not in dataset("show", "tea/short")
    with pytest.raises(CommandError, match="compared whole"):
        dataset("diff", "tea/short", "tea")


def test_the_other_side_of_a_battle_is_not_taken_for_the_source(tmp_path: Path) -> None:
    """Without ids of their own, and in the second of two files."""
    said = {f"conversation_{side}": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": side * 9}]
            for side in "ab"}  # fmt: skip
    paths = [written(tmp_path / f"{n}.jsonl", [said]) for n in "12"]
    dataset("import", "battles", *paths)
    for row, side in enumerate("abab"):
        told = dataset("inspect", "battles", "--row", row)
        assert f"assistant:\n{side * 9}\n" in told


@pytest.mark.parametrize("parts", [["tea@1/all"], ["tea@1/all", "tea/all"]])
def test_a_merge_of_one_is_refused(tmp_path: Path, parts: list[str]) -> None:
    clean(tmp_path)
    with pytest.raises(CommandError, match="at least two"):
        dataset("merge", "both", *parts)


def test_a_split_keeps_families_together_and_is_the_same_again(tmp_path: Path) -> None:
    talks = [sharegpt(f"c{n}", f"Question {n % 20}?", f"Answer {n}", "And?", f"So {n}.") for n in range(60)]
    dataset("import", "talks", written(tmp_path / "talks.json", talks))
    dataset("split", "talks", "--test-share", "0.3", "--into", "parts", "--seed", "7")
    parts = {name: rows("parts@1", name) for name in ("train", "test")}
    asked = {name: {row["messages"][0]["content"] for row in found} for name, found in parts.items()}  # type: ignore[index]
    assert not asked["train"] & asked["test"]
    assert len(parts["train"]) + len(parts["test"]) == 60
    assert 6 <= len(parts["test"]) <= 30
    assert "is the same" in dataset("split", "talks", "--test-share", "0.3", "--into", "parts", "--seed", "7")
    assert "parts@2" in dataset("split", "talks", "--test-share", "0.3", "--into", "parts", "--seed", "8")
    assert "Answer" in dataset("inspect", "parts@1/test", "--row", "0")
    dataset("split", "talks", "--test-share", "0.5", "--into", "few", "--begin", "10", "--end", "30")
    few = rows("few@1", "train") + rows("few@1", "test")
    assert {row["id"] for row in few} == {f"c{n}" for n in range(10, 30)}


def test_parts_of_one_long_conversation_are_a_family(tmp_path: Path) -> None:
    """They begin with different questions, and come from one record."""
    clean(tmp_path, n=12)
    dataset("merge", "both", "tea@1/all", "tea@1/short")
    lines = [row for name in ("all", "short") for row in rows("both@1", name)]
    for n, row in enumerate(lines):
        row["id"], row["messages"][0]["content"] = f"r{n}", f"Question of its own {n}?"  # type: ignore[index]
    folder = tmp_path / "both"
    dataset("export", "both@1", folder)
    report = json.loads((folder / "report.json").read_text())
    report["sets"] = {"all": {**report["sets"]["all"], "file": "all.jsonl"}}
    del report["sets"]["all"]["sha256"]
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    dataset("import", "changed", folder)
    dataset("split", "changed", "--test-share", "0.4", "--seed", "3")
    records = [{row["source"]["record"] for row in rows("changed@2", name)} for name in ("train", "test")]  # type: ignore[index]
    assert not records[0] & records[1]
    assert len(records[0] | records[1]) == 12


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["tea@1"], "name one, as tea@1/all"),
        (["tea@1/all", "--test-share", "1"], "between 0 and 1"),
        (["tea@1/all", "--begin", "4", "--end", "4"], "end after it"),
        (["tea@1/all", "--test-share", "0.000001"], "would be empty"),
        (["tea@1/none"], "has all, short"),
        (["tea@9/all"], "no dataset tea@9"),
        (["tea@x"], "names no dataset"),
    ],
)
def test_a_split_that_cannot_be_is_refused(tmp_path: Path, options: list[str], reason: str) -> None:
    clean(tmp_path)
    with pytest.raises(CommandError, match=reason):
        dataset("split", *options)


def test_a_version_is_deleted_when_it_is_meant(tmp_path: Path) -> None:
    clean(tmp_path)
    for asked, reason in ((["tea@1"], "add --yes"), (["tea", "--yes"], "NAME@NUMBER"), (["tea@2", "--yes"], "no data")):
        with pytest.raises(CommandError, match=reason):
            dataset("delete", *asked)
    dataset("delete", "tea@1", "--yes")
    assert not DatasetVersion.objects.exists()
    assert dataset("list") == ""


@pytest.mark.parametrize("which", [["--row", "99"], ["--row", "-1"], ["--id", "nobody"], ["--id", "\0"]])
def test_a_row_that_there_is_not_is_said(tmp_path: Path, which: list[str]) -> None:
    clean(tmp_path)
    with pytest.raises(CommandError, match="no row"):
        dataset("inspect", "tea", *which)
