"""Parquet in and out: a version that is published says the same when it is read again."""

import json
from pathlib import Path

import pytest
import yaml

from apps.datasets.errors import FileUnreadable
from apps.datasets.formats.files import raw_records, shape_find
from apps.datasets.formats.parquet import lines_to_parquet
from apps.datasets.formats.shapes import Shape
from tests.datasets.support import written
from tests.datasets.test_dataset_command import dataset, rows
from tests.datasets.test_versions import clean

TALK = {
    "id": "a",
    "model": "owl",
    "messages": [
        {"role": "user", "content": "Tea?\\r\\n\u2028"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "arguments": {"n": [1, 2.5, None]}}]},
    ],
    "language": "en",
    "score": 0.5,
    "source": {"file": "x", "record": 7, "steps": []},
}
PAIR = {
    "id": "b",
    "prompt": [{"role": "user", "content": "Tea?"}],
    "chosen": [{"role": "assistant", "content": "Yes."}],
    "rejected": [{"role": "assistant", "content": "No."}],
    "source": {"record": 0, "steps": ["trim_turns"]},
}


def parquet(folder: Path, *values: object) -> Path:
    lines, path = folder / "rows.jsonl", folder / "rows.parquet"
    lines.write_text("".join(json.dumps(value) + "\n" for value in values))
    lines_to_parquet(lines, path)
    return path


def test_rows_come_out_of_parquet_as_they_went_in(tmp_path: Path) -> None:
    path = parquet(tmp_path, TALK, PAIR, *[TALK | {"id": f"c{n}"} for n in range(200)])
    found = list(raw_records(path))
    assert [raw.value for raw in found[:2]] == [TALK, PAIR]
    assert (found[-1].number, found[-1].line, found[-1].value) == (201, 202, TALK | {"id": "c199"})
    assert shape_find(path) is Shape.MESSAGES
    assert sorted(one.name for one in tmp_path.iterdir()) == ["rows.jsonl", "rows.parquet"]


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    whole = parquet(tmp_path, TALK, PAIR).read_bytes()
    for broken in (b"PAR1", b"PAR1 and nothing else PAR1", whole[:-100], whole[:40] + b"\xff" * 60 + whole[100:]):
        (tmp_path / "broken.parquet").write_bytes(broken)
        with pytest.raises(FileUnreadable):
            list(raw_records(tmp_path / "broken.parquet"))


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt": "Tea?"}, {"prompt": [1]}, {"chosen": [{"role": "user"}]}, {"model": {"name": "owl"}},
        {"source": {"file": "a", "record": "7"}}, {"source": {"file": "a", "record": 2**63}},
        {"source": {"file": "a", "record": 1, "page": 5}}, {"source": {"file": "a", "record": True, "steps": [1]}},
    ],
)  # fmt: skip
def test_a_field_that_only_has_the_name_of_a_column_comes_through(tmp_path: Path, odd: dict[str, object]) -> None:
    row = TALK | odd
    assert [raw.value for raw in raw_records(parquet(tmp_path, row, PAIR))] == [row, PAIR]


@pytest.mark.django_db
def test_sets_are_named_as_hugging_face_lets_splits_be_named(tmp_path: Path) -> None:
    pairs = [{"instruction": "Tea?", "output": "Yes."}]
    for name, split in (("my-pairs", "my_pairs"), ("all", "all_rows")):
        dataset("import", name, written(tmp_path / "pairs.jsonl", pairs))
        folder = tmp_path / f"published-{name}"
        assert f"data/{split}-00000-of-00001.parquet" in dataset("export", name, folder, "--huggingface")
        _, head, _ = (folder / "README.md").read_text().split("---\n", 2)
        assert yaml.safe_load(head)["configs"][0]["data_files"] == [{"split": split, "path": f"data/{split}-*.parquet"}]


@pytest.mark.django_db
def test_a_version_is_published_with_its_card_and_read_again(tmp_path: Path) -> None:
    clean(tmp_path, "--licence", "CC-BY-4.0")
    folder = tmp_path / "published"
    assert "data/short-00000-of-00001.parquet  5 conversations" in dataset("export", "tea@1", folder, "--huggingface")
    assert sorted(one.name for one in (folder / "data").iterdir()) == [
        "all_rows-00000-of-00001.parquet", "short-00000-of-00001.parquet",
    ]  # fmt: skip
    _, head, card = (folder / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["license"] == "cc-by-4.0"
    assert told["configs"][0]["data_files"][0] == {"split": "all_rows", "path": "data/all_rows-*.parquet"}
    assert "# tidy" in card
    dataset("import", "again", folder / "data" / "all_rows-00000-of-00001.parquet")
    for old, new in zip(rows("tea@1", "all"), rows("again@1", "again"), strict=True):
        assert (old["id"], old["messages"]) == (new["id"], new["messages"])
