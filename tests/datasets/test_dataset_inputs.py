"""Datasets of Hugging Face as an input: folders as the hub lays them out, those of save_to_disk, and ids on a hub."""

import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from arro3.core import DataType, Field, Schema
from arro3.io import read_json, write_ipc, write_ipc_stream, write_parquet
from django.core.management import CommandError, call_command

from apps.datasets.errors import FileUnreadable
from apps.datasets.formats.files import raw_records, shape_find
from apps.datasets.formats.shapes import Shape
from apps.datasets.models import DatasetVersion, SourceRecord
from tests.datasets.support import lines_of, sharegpt, written
from tests.datasets.test_dataset_command import dataset, rows
from tests.fake_hub import FakeHub, fake_hub
from tests.live import manage

TEXT = DataType.utf8()
TURN = DataType.struct([Field("role", DataType.large_utf8()), Field("content", TEXT)])
SCHEMA = Schema(
    [Field("id", TEXT), Field("n", DataType.int64()), Field("messages", DataType.list(Field("item", TURN)))]
)


def talks(name: str, n: int) -> list[dict[str, Any]]:
    said = ({"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Yes."})
    return [{"id": f"{name}{number}", "n": number, "messages": list(said)} for number in range(n)]


def table(folder: Path, values: Iterable[Any]) -> Any:
    return read_json(written(folder / "rows.tmp", values), SCHEMA)


def saved(folder: Path, name: str, n: int) -> Path:
    """As `Dataset.save_to_disk` does, with a file of the library's cache beside."""
    folder.mkdir(parents=True)
    write_ipc_stream(table(folder, talks(name, n)), folder / "data-00000-of-00001.arrow", compression=None)
    (folder / "cache-12ab.arrow").write_bytes(b"nothing")
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": name}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def hub_folder(folder: Path) -> Path:
    """As the hub has it: two splits, of which one is in two parts."""
    (folder / "data").mkdir(parents=True)
    for part, n in enumerate((2, 1)):
        path = folder / "data" / f"train-0000{part}-of-00002.parquet"
        write_parquet(table(folder, talks(f"train{part}-", n)), path)
    write_parquet(table(folder, talks("test", 2)), folder / "data" / "test-00000-of-00001.parquet")
    (folder / "rows.tmp").unlink()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Tea\n")
    (folder / "tea.py").write_text("raise SystemExit('code of a dataset was run')")
    return folder


def cleaned(folder: Path, *arguments: object, name: str = "out") -> tuple[list[dict[str, Any]], str]:
    """The rows of a recipe that changes nothing, and what was told on stderr."""
    recipe, told = folder / "all.yaml", io.StringIO()
    recipe.write_text("steps: []")
    call_command("clean", str(recipe), *map(str, arguments), output=folder / name, workers=1, stderr=told)
    return lines_of(folder / name / "all.jsonl"), told.getvalue()


# --- Folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_the_hub_is_read_by_its_splits(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "tea")
    found, told = cleaned(tmp_path, "--input", folder)
    assert [row["id"] for row in found] == ["train0-0", "train0-1", "train1-0", "test0", "test1"]
    assert f"{folder}: split train of 2 file(s), split test of 1 file(s)\n" in told
    assert found[2]["source"] == {"file": "train-00001-of-00002.parquet", "record": 0, "steps": []}
    found, told = cleaned(tmp_path, "--input", folder, "--split", "test", name="one")
    assert [row["id"] for row in found] == ["test0", "test1"]
    assert "split test of 1 file(s); not read: train\n" in told
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    assert report["inputs"] == [{"file": "test-00000-of-00001.parquet", "format": "messages", "split": "test"}]


def test_files_that_belong_to_no_split_are_told(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "tea")
    (folder / "more.csv").write_text("a,b")
    written(folder / "data" / "more.jsonl", talks("more", 1))
    _, told = cleaned(tmp_path, "--input", folder)
    assert "; 2 other file(s) belong to none, as data/more.jsonl" in told


def test_linked_folders_are_read_and_none_twice(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "tea")
    (folder / "data").rename(tmp_path / "elsewhere")
    (folder / "data").symlink_to("../elsewhere")
    found, _ = cleaned(tmp_path, "--input", folder, "--split", "test")
    assert [row["id"] for row in found] == ["test0", "test1"]
    for link, target in (("again", "data"), ("data/above", "../tea")):
        (folder / link).symlink_to(target)
        with pytest.raises(CommandError, match=r"it leads to the folder .*tea.*, which is read already"):
            cleaned(tmp_path, "--input", folder, name="twice")
        (folder / link).unlink()


def test_a_split_and_a_folder_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "tea")
    with pytest.raises(CommandError, match="no split 'valid': --split is one of train, test"):
        cleaned(tmp_path, "--input", folder, "--split", "valid")
    with pytest.raises(CommandError, match="leave --split and --config out"):
        cleaned(tmp_path, "--input", written(tmp_path / "a.jsonl", talks("a", 1)), "--split", "train")
    (folder / "data" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(CommandError, match="train-00000-of-00002, of the split train, is missing"):
        cleaned(tmp_path, "--input", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="it holds no data"):
        cleaned(tmp_path, "--input", tmp_path / "empty")


def test_what_save_to_disk_left_is_read(tmp_path: Path) -> None:
    found, told = cleaned(tmp_path, "--input", saved(tmp_path / "one", "train", 2000))
    assert [row["id"] for row in found] == [f"train{n}" for n in range(2000)]
    assert found[7]["messages"] == talks("x", 1)[0]["messages"]
    assert found[7]["n"] == 7
    both = tmp_path / "both"
    saved(both / "milk", "milk", 1)
    saved(both / "tea", "tea", 2)
    (both / "dataset_dict.json").write_text('{"splits": ["tea", "milk"]}')
    found, told = cleaned(tmp_path, "--input", both, name="both-out")
    assert [row["id"] for row in found] == ["tea0", "tea1", "milk0"]
    assert "split tea of 1 file(s), split milk of 1 file(s)\n" in told


def test_arrow_of_both_kinds_is_read_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    write_ipc(table(tmp_path, talks("a", 3)), tmp_path / "file.arrow", compression=None)
    assert shape_find(tmp_path / "file.arrow") is Shape.MESSAGES
    assert [raw.value for raw in raw_records(tmp_path / "file.arrow")] == talks("a", 3)
    whole = (saved(tmp_path / "s", "s", 3000) / "data-00000-of-00001.arrow").read_bytes()
    for n_bytes in (len(whole) - 8, len(whole) // 2, 40, 5):
        (tmp_path / "cut.arrow").write_bytes(whole[:n_bytes])
        with pytest.raises(FileUnreadable):
            list(raw_records(tmp_path / "cut.arrow"))


@pytest.mark.django_db
def test_check_and_import_take_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hub_folder(tmp_path / "tea")
    told = dataset("check", folder, "--split", "train")
    assert [line.rpartition(": ")[2] for line in told.splitlines()] == [
        "2 records of messages, 0 with a fault",
        "1 records of messages, 0 with a fault",
    ]
    assert "not read: test" in capsys.readouterr().err
    dataset("import", "tea", folder)
    assert [row["id"] for row in rows("tea@1", "tea")] == ["train0-0", "train0-1", "train1-0", "test0", "test1"]
    assert [one["split"] for one in DatasetVersion.objects.get().inputs] == ["train", "train", "test"]
    assert SourceRecord.objects.filter(file="test-00000-of-00001.parquet").count() == 2


def test_a_folder_of_clean_is_an_input_too(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw.jsonl", [sharegpt("1", "Hi", "Ho")])
    cleaned(tmp_path, "--input", raw)
    found, _ = cleaned(tmp_path, "--input", tmp_path / "out", name="again")
    assert [row["id"] for row in found] == ["1"]


# --- The hub ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub("team/tea", {"main": hub_folder(tmp_path / "main")}, kind="datasets") as found:
        yield found


def fetched(folder: Path, hub: FakeHub, *arguments: str, **environment: str) -> str:
    """`manage.py clean` in a process of its own, with the library as it is. Raises: RuntimeError: what was refused."""
    (folder / "all.yaml").write_text("steps: []")
    ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home")}
    rest = ("--output", str(folder / "out"), "--workers", "1")
    return manage(os.environ | ours | environment, "clean", str(folder / "all.yaml"), *arguments, *rest)


def test_an_id_is_fetched_and_its_commit_stands_in_every_row(tmp_path: Path, hub: FakeHub) -> None:
    fetched(tmp_path, hub, "--input", "hf:team/tea", "--split", "train")
    commit = hub.commit("main")
    found = lines_of(tmp_path / "out" / "all.jsonl")
    assert [row["id"] for row in found] == ["train0-0", "train0-1", "train1-0"]
    file = f"hf:team/tea@{commit}/data/train-00001-of-00002.parquet"
    assert found[2]["source"]["file"] == file
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["inputs"][1] == {"file": file, "format": "messages", "split": "train"}
    assert f"- `{file}`, read as messages" in (tmp_path / "out" / "README.md").read_text()
    files = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert files == {"README.md", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}


def test_a_revision_is_fetched_and_a_missing_one_is_refused(tmp_path: Path, hub: FakeHub) -> None:
    old = tmp_path / "old"
    old.mkdir()
    written(old / "train.jsonl", talks("old", 1))
    hub.revisions["v1"] = old
    fetched(tmp_path, hub, "--input", "hf:team/tea@v1")
    assert [row["id"] for row in lines_of(tmp_path / "out" / "all.jsonl")] == ["old0"]
    with pytest.raises(RuntimeError, match="has the dataset, but no revision 'v9' of it"):
        fetched(tmp_path, hub, "--input", "hf:team/tea@v9")


def test_what_the_hub_refuses_is_said_with_what_to_do(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(RuntimeError, match=r"no such dataset, or it is private: .* set HF_TOKEN"):
        fetched(tmp_path, hub, "--input", "hf:team/coffee")
    hub.refusal = 403, "GatedRepo"
    with pytest.raises(RuntimeError, match=r"granted access\. Ask for it on the page of team/tea, and set HF_TOKEN"):
        fetched(tmp_path, hub, "--input", "hf:team/tea")
    with pytest.raises(RuntimeError, match=r"write hf:ORG/NAME, or hf:ORG/NAME@REVISION"):
        fetched(tmp_path, hub, "--input", "hf:team/tea/milk")
    hub.revisions["main"] = tmp_path / "code"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tea.py").write_text("")
    with pytest.raises(RuntimeError, match="hf:team/tea cannot be read as a dataset: it holds no data in Parquet"):
        fetched(tmp_path, hub, "--input", "hf:team/tea")


@pytest.mark.parametrize("page", [b"<html>Log in first</html>", b"{}", b"[]"])
def test_what_is_no_answer_of_a_hub_is_refused(tmp_path: Path, hub: FakeHub, page: bytes) -> None:
    hub.page = page
    with pytest.raises(
        RuntimeError, match=r"hf:team/tea.*: the hub's answer cannot be used \(\w+\): look at HF_ENDPOINT"
    ):
        fetched(tmp_path, hub, "--input", "hf:team/tea")


def test_files_at_a_metadata_address_are_not_fetched(tmp_path: Path, hub: FakeHub) -> None:
    hub.moved_to = "http://169.254.169.254"
    with pytest.raises(RuntimeError, match=r"169\.254\.169\.254, which is link-local: the site does not call it"):
        fetched(tmp_path, hub, "--input", "hf:team/tea")
    with pytest.raises(RuntimeError, match=r"169\.254\.169\.254, which is link-local: the site does not call it"):
        fetched(tmp_path, hub, "--input", "hf:team/tea", HF_ENDPOINT="http://169.254.169.254")


def test_files_that_are_elsewhere_on_the_hub_are_asked_of_it_by_its_name(tmp_path: Path, hub: FakeHub) -> None:
    hub.moved_to = "/files"
    name = hub.url.removeprefix("http://").replace("127.0.0.1", "localhost")
    fetched(tmp_path, hub, "--input", "hf:team/tea", "--split", "test", HF_ENDPOINT=f"http://{name}")
    assert [row["id"] for row in lines_of(tmp_path / "out" / "all.jsonl")] == ["test0", "test1"]
    assert hub.hosts == {name}


def test_without_the_hub_an_earlier_download_is_named(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(RuntimeError, match="HF_HUB_OFFLINE forbids to ask the hub, and nothing of it was downloaded"):
        fetched(tmp_path, hub, "--input", "hf:team/tea", HF_HUB_OFFLINE="1")
    fetched(tmp_path, hub, "--input", "hf:team/tea")
    kept = f"snapshots/{hub.commit('main')}: give that folder as the input"
    with pytest.raises(RuntimeError, match=kept):
        fetched(tmp_path, hub, "--input", "hf:team/tea", HF_HUB_OFFLINE="1")
    with pytest.raises(RuntimeError, match=kept):
        fetched(tmp_path, hub, "--input", "hf:team/tea", HF_ENDPOINT="http://127.0.0.1:9")
