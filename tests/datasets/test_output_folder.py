"""Where `manage.py clean` writes: nothing of anybody is taken away, and a run that is broken off goes on."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import grimp
import psutil
import pytest

from apps.datasets.cleaning import code_files, recipe_run
from apps.datasets.errors import (
    FileUnreadable,
    OutputBusy,
    OutputExists,
    OutputForeign,
    OutputUnwritable,
    WorkStale,
)
from apps.datasets.formats.shapes import Shape
from apps.datasets.output_folder import emptied, made_whole
from apps.datasets.recipe import recipe_parse
from apps.datasets.run import Input, Options, inputs_of
from tests.conftest import DEMO_BASE
from tests.datasets.support import STEPS, TWO_SETS, bytes_of, clean, dump, lines_of, recipe, sharegpt, written
from tests.live import ROOT


class BrokenOff(Exception):
    pass


def broken_off(folder: Path, path: Path, **more: Any) -> None:
    """A run that ends after its second chunk."""

    def progress(what: str, done: int, n_all: int) -> None:
        if done == 2:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        clean(folder, path, progress=progress, **more)
    assert (folder / "out.unfinished").exists()
    assert not (folder / "out").exists()


def is_of_pool(process: psutil.Process) -> bool:
    try:
        return "multiprocessing" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a connection of the database that has just ended
        return False


# --- What is there already --------------------------------------------------------------------------------------------


def test_an_output_that_is_there_is_not_touched_without_force(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 30)
    clean(tmp_path, path)
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputExists):
        clean(tmp_path, path, recipe=recipe())
    assert bytes_of(tmp_path / "out") == before
    clean(tmp_path, path, recipe=recipe(), overwrite=True)
    assert set(bytes_of(tmp_path / "out")) == {"tried.jsonl", "report.json", "README.md"}
    assert {one.name for one in tmp_path.iterdir()} == {"dump.json", "out"}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"thesis.tex": "mine"}, "has no report.json"),
        ({"report.json": "[]"}, "has no report.json"),
        ({"report.json": '{"sets": {"a": {"file": "a.jsonl"}}}', "a.jsonl": "", "notes.txt": "mine"}, "'notes.txt'"),
    ],
)
def test_force_replaces_only_what_a_run_has_made(tmp_path: Path, files: dict[str, str], says: str) -> None:
    path = dump(tmp_path / "dump.json", 3)
    (tmp_path / "out").mkdir()
    for name, content in files.items():
        (tmp_path / "out" / name).write_text(content)
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputForeign, match=says):
        clean(tmp_path, path, overwrite=True)
    assert bytes_of(tmp_path / "out") == before


def test_force_replaces_no_file_and_no_link(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 3)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path.parent / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(OutputForeign, match="no folder"):
            clean(tmp_path, path, name=name, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "/"])
def test_a_folder_without_a_name_of_its_own_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = dump(tmp_path / "dump.json", 3)
    with pytest.raises(OutputForeign, match="no name for a new one"):
        recipe_run(recipe(), inputs_of([path]), Path(name), Options(), overwrite=True)
    assert {one.name for one in tmp_path.iterdir()} == {"dump.json"}


def test_an_input_is_not_replaced_by_what_is_made_of_it(tmp_path: Path) -> None:
    made = clean(tmp_path, dump(tmp_path / "dump.json", 30))
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputForeign, match=r"the input .* lies in it"):
        clean(tmp_path, made.sets[0].path, overwrite=True)
    assert bytes_of(tmp_path / "out") == before


def test_a_folder_that_only_has_the_name_of_an_unfinished_one_is_not_touched(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 3)
    mine = tmp_path / "out.unfinished"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputForeign, match=r"thesis\.tex"):
            clean(tmp_path, path, overwrite=overwrite)
    assert bytes_of(mine) == {"thesis.tex": b"mine"}


def test_what_was_there_stays_when_the_new_folder_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump(tmp_path / "dump.json", 30)
    clean(tmp_path, path)
    before = bytes_of(tmp_path / "out")
    rename = Path.rename

    def refuses(self: Path, target: Path) -> Path:
        if self.name == "sets":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(OutputUnwritable, match="Permission denied"):
        clean(tmp_path, path, recipe=recipe(), overwrite=True)
    assert bytes_of(tmp_path / "out") == before


def test_two_runs_do_not_write_the_same_folder(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    refused = []

    def progress(what: str, done: int, n_all: int) -> None:
        if what == "common" and done == 1:
            for overwrite in (False, True):
                with pytest.raises(OutputBusy, match="Another run"):
                    clean(tmp_path, path, overwrite=overwrite)
                refused.append(overwrite)

    clean(tmp_path, path, progress=progress)
    assert refused == [False, True]
    assert {one.name for one in tmp_path.iterdir()} == {"dump.json", "out"}


def test_a_run_that_waited_to_open_the_claim_of_one_that_ended_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flock = tmp_path / "out.unfinished", fcntl.flock
    n_locked = 0

    def late(descriptor: int, kind: int) -> None:
        nonlocal n_locked
        n_locked += 1
        if n_locked == 1:
            shutil.rmtree(folder)
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    clean(tmp_path, dump(tmp_path / "dump.json", 3))
    assert n_locked == 2
    assert {one.name for one in tmp_path.iterdir()} == {"dump.json", "out"}


def test_what_comes_while_a_folder_is_emptied_is_taken_away_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Celery worker that was taken for dead may still write there."""
    work, rmdir = tmp_path / "out.unfinished" / "work", os.rmdir
    work.mkdir(parents=True)
    late = [work / "late"]

    def slow(path: Any, **more: Any) -> None:
        if late:
            late.pop().write_text("{}")
        rmdir(path, **more)

    monkeypatch.setattr(os, "rmdir", slow)
    emptied(work.parent)
    assert not late
    assert list(work.parent.iterdir()) == []


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 3)
    with pytest.raises(FileUnreadable, match="given twice"):
        inputs_of([path, tmp_path / "." / "dump.json"])


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(OutputUnwritable, match="No space left"):
            clean(small, dump(tmp_path / "dump.json"))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


# --- What was broken off ----------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_goes_on_and_makes_the_same_bytes(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    clean(tmp_path, path)
    steps = tmp_path / "r.yaml"
    steps.write_text(json.dumps({"name": "tried", "steps": list(STEPS), "outputs": TWO_SETS}))
    output = tmp_path / "again"
    command = [sys.executable, "manage.py", "clean", str(steps), "--input", str(path), "--output", str(output)]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test"}
    child = subprocess.Popen([*command, "--workers", "2"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    work = tmp_path / "again.unfinished" / "work"
    try:
        while not (done := list(work.glob("*/common-0/000001.result"))):
            assert child.poll() is None
        started = [one for one in psutil.Process(child.pid).children(recursive=True) if is_of_pool(one)]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not output.exists()
    assert started
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive, "processes of the run wait for ever"
    (first,) = done
    kept, seen = first.stat().st_mtime_ns, set()
    clean(tmp_path, path, name="again", progress=lambda what, done, n_all: seen.add(first.stat().st_mtime_ns))
    assert seen == {kept}, "what was done is not done again"
    assert bytes_of(tmp_path / "out") == bytes_of(output)


def test_what_another_recipe_has_left_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    broken_off(tmp_path, path)
    with pytest.raises(WorkStale):
        clean(tmp_path, path, recipe=recipe())
    clean(tmp_path, path, recipe=recipe(), overwrite=True)
    assert not (tmp_path / "out.unfinished").exists()


def test_a_plan_that_was_not_written_to_its_end_is_nobodys(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    broken_off(tmp_path, path)
    (tmp_path / "out.unfinished" / "plan.json").write_text('{"recipe": ')
    with pytest.raises(WorkStale):
        clean(tmp_path, path)
    clean(tmp_path, path, overwrite=True)


def test_another_tokenizer_under_the_same_name_is_another_run(tmp_path: Path) -> None:
    path, model = dump(tmp_path / "dump.json"), tmp_path / "model"
    model.mkdir()
    raw = (DEMO_BASE / "tokenizer.json").read_bytes()
    (model / "tokenizer.json").write_bytes(raw)
    splitting = recipe({"split_long": {"tokenizer": str(model)}})
    broken_off(tmp_path, path, recipe=splitting)
    (model / "tokenizer.json").write_bytes(raw + b"\n")
    with pytest.raises(WorkStale):
        clean(tmp_path, path, recipe=splitting)


def test_the_same_file_of_another_commit_is_another_run(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    broken_off(tmp_path, path)
    named = [replace(one, name="hf:team/tea@b/dump.json") for one in inputs_of([path])]
    with pytest.raises(WorkStale):
        recipe_run(recipe(*STEPS, outputs=TWO_SETS), named, tmp_path / "out", Options())


def test_sets_of_another_name_do_not_come_along(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    broken_off(tmp_path, path)
    left = tmp_path / "out.unfinished" / "sets"
    left.mkdir()
    (left / "older.jsonl").write_text("{}\n")
    clean(tmp_path, path)
    assert set(bytes_of(tmp_path / "out")) == {"test.jsonl", "train.jsonl", "short.jsonl", "report.json", "README.md"}
    renamed = recipe_parse({"name": "other", "steps": list(STEPS), "outputs": TWO_SETS}, {}, default_name="")
    shutil.rmtree(tmp_path / "out")
    broken_off(tmp_path, path)
    with pytest.raises(WorkStale):
        clean(tmp_path, path, recipe=renamed)


def test_the_code_of_a_run_is_all_that_its_steps_use() -> None:
    graph = grimp.build_graph("apps")
    # What this one asks, the rules of the site, may change at any time without any code.
    graph.remove_module("apps.datasets.steps.moderation")
    used = graph.find_upstream_modules("apps.datasets.run")
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in code_files()}
    assert {module for module in used if (ROOT / f"{module.replace('.', '/')}.py").exists()} - known == {
        "apps.core.errors"
    }


def test_an_input_that_is_not_there_is_named_also_when_its_format_is_given(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.json"
    with pytest.raises(FileUnreadable, match=r"nowhere\.json cannot be read: No such file"):
        recipe_run(recipe(), [Input(path, Shape.SHAREGPT)], tmp_path / "out", Options())
    assert list(tmp_path.iterdir()) == []


def test_two_inputs_of_one_name_are_told_apart_in_every_row(tmp_path: Path) -> None:
    paths = []
    for folder in ("may", "june"):
        (tmp_path / folder).mkdir()
        paths.append(written(tmp_path / folder / "dump.jsonl", [sharegpt(folder, "Hi", "Ho")]))
    made = clean(tmp_path, *paths, recipe=recipe())
    assert [row["source"]["file"] for row in lines_of(made.sets[0].path)] == list(map(str, paths))
    assert f"`{paths[0]}`" in (tmp_path / "out" / "README.md").read_text()


# --- What one command makes at one go ---------------------------------------------------------------------------------

DIES = """
import os, signal, sys
from pathlib import Path
from apps.datasets.output_folder import made_whole
with made_whole(Path(sys.argv[1])) as made:
    (made / "all.jsonl").write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_export_has_left_is_in_the_way_of_no_other(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "out")], cwd=ROOT, check=False)
    assert bytes_of(tmp_path / "out.unfinished" / "made") == {"all.jsonl": b"half of it"}
    with made_whole(tmp_path / "out") as made:
        (made / "README.md").write_text("all of it")
        with pytest.raises(OutputBusy), made_whole(tmp_path / "out"):
            pass
    assert bytes_of(tmp_path / "out") == {"README.md": b"all of it"}
    assert not (tmp_path / "out.unfinished").exists()


def test_an_export_takes_nothing_away_of_a_run_that_may_go_on_or_of_others(tmp_path: Path) -> None:
    for name in ("plan.json", "thesis.tex"):
        (tmp_path / "out.unfinished").mkdir()
        (tmp_path / "out.unfinished" / name).write_text("mine")
        with pytest.raises(OutputForeign), made_whole(tmp_path / "out"):
            pass
        assert (tmp_path / "out.unfinished" / name).read_text() == "mine"
        shutil.rmtree(tmp_path / "out.unfinished")


def test_of_an_export_that_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="No space left"), made_whole(tmp_path / "out") as made:
        (made / "all.jsonl").write_text("half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert bytes_of(tmp_path) == {}
