"""`manage.py clean`: from a file of raw conversations to sets on disk, with every row accounted for."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.core.management import CommandError, call_command

from apps.datasets.cleaning import recipe_run, recipe_try
from apps.datasets.errors import DatasetError, FileUnreadable, OutputExists, OutputUnwritable, RecordRefused, WorkStale
from apps.datasets.formats.writing import Form
from apps.datasets.run import CHUNK_ROWS, Options, inputs_of
from tests.datasets.support import lines_of, recipe, sharegpt, written
from tests.live import ROOT

TWO_SETS: dict[str, Any] = {
    "test": {"steps": [{"part": {"keep": "test", "test_share": 0.2}}]},
    "train": {"steps": [{"part": {"test_share": 0.2}}, {"identity": {"model_name": "Owl", "maker": "The Wood"}}]},
    "short": {"from": "train", "steps": ["single_round", {"sample": {"n": 50}}]},
}
STEPS = ("trim_turns", "take_turns", "html_to_markdown", {"length": {"min_chars": 8}}, "unique_ids", "near_duplicates")


def dump(path: Path, n: int = 3 * CHUNK_ROWS + 7) -> Path:
    """Of all kinds, with some to drop at each step."""
    rows = []
    for number in range(n):
        texts = [f"<p>question number {number}</p>", f"<p>answer <b>{number * 7}</b></p>", "And?", "So."]
        id = f"c{number - 1 if number % 31 == 30 else number}"
        texts = [f"What is {number % 5}?", "The same long answer to it, word for word."] if number % 17 == 16 else texts
        rows.append(sharegpt(id, *texts[: 3 if number % 13 == 12 else 1 if number % 19 == 18 else 4]))
    path.write_text(json.dumps(rows))
    return path


def clean(folder: Path, path: Path, *, n_workers: int = 1, name: str = "out", **more: Any) -> Any:
    used = more.pop("recipe", None) or recipe(*STEPS, outputs=TWO_SETS)
    options = Options(n_workers=n_workers, **{k: more.pop(k) for k in ("is_strict", "form") if k in more})
    return recipe_run(used, inputs_of([path]), folder / name, options, **more)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_row_is_accounted_for_at_every_step(tmp_path: Path) -> None:
    made = clean(tmp_path, dump(tmp_path / "dump.json"))
    reports = [*made.common, *(report for one in made.sets for report in one.reports)]
    for report in reports:
        assert report.n_in + report.n_made == report.n_out + report.dropped.total(), report
    for before, after in zip(made.common, made.common[1:], strict=False):
        assert after.n_in == before.n_out
    dropped = {report.name for report in made.common if report.dropped}
    assert dropped >= {"trim_turns", "unique_ids", "near_duplicates"}
    n_common = made.common[-1].n_out
    test, train, short = made.sets
    assert test.written.n_conversations + train.written.n_conversations == n_common + 937
    assert short.written.n_conversations == 50


def test_a_row_names_where_it_comes_from_and_what_changed_it(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 20)
    raw = json.loads(path.read_text())
    made = clean(tmp_path, path)
    for row in lines_of(made.sets[1].path):
        source = row["source"]
        if source["file"] is None:
            assert source["steps"] == ["identity"]
            continue
        assert (source["file"], raw[source["record"]]["id"]) == ("dump.json", row["id"])
        was_html = raw[source["record"]]["conversations"][0]["value"].startswith("<p>")
        assert ("html_to_markdown" in source["steps"]) is was_html


def test_the_report_and_the_card_say_what_the_files_are(tmp_path: Path) -> None:
    made = clean(tmp_path, dump(tmp_path / "dump.json", 40))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    for one in made.sets:
        told = report["sets"][one.name]
        raw = (tmp_path / "out" / told["file"]).read_bytes()
        assert told["sha256"] == hashlib.sha256(raw).hexdigest()
        assert told["n_conversations"] == raw.count(b"\n") == one.written.n_conversations
        assert told["sha256"] in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out.unfinished").exists()


def test_several_processes_make_the_same_bytes(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    clean(tmp_path, path)
    clean(tmp_path, path, n_workers=3, name="again")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "again")


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.ZstdCompressor().compress, lambda raw: b"\xef\xbb\xbf" + raw]
)
def test_packed_files_are_read_as_they_are(tmp_path: Path, pack: Any) -> None:
    plain = dump(tmp_path / "dump.json", 30)
    raw = plain.read_bytes()
    clean(tmp_path, plain)
    plain.write_bytes(pack(raw))
    clean(tmp_path, plain, name="again")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "again")


def test_what_goes_in_as_messages_comes_out_as_sharegpt(tmp_path: Path) -> None:
    said = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
    ]
    path = written(tmp_path / "m.jsonl", [{"id": "1", "messages": said, "kept": [1]}])
    made = clean(tmp_path, path, recipe=recipe(), form=Form.SHAREGPT)
    (row,) = lines_of(made.sets[0].path)
    assert row["system"] == "S"
    assert row["conversations"] == [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    assert row["kept"] == [1]


def test_a_pair_of_answers_stays_a_pair(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"prompt": "Hi", "chosen": "<p>Ho</p>", "rejected": "No"}])
    made = clean(tmp_path, path, recipe=recipe("trim_turns", "take_turns", "html_to_markdown", "single_round"))
    (row,) = lines_of(made.sets[0].path)
    assert row["chosen"] == [{"role": "assistant", "content": "Ho"}]
    assert row["rejected"] == [{"role": "assistant", "content": "No"}]


# --- What is wrong ----------------------------------------------------------------------------------------------------


def test_records_that_cannot_be_read_are_counted_with_their_lines_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps(sharegpt("1", "Hi", "Ho"))
    path.write_text(f'{good}\n{{"id": nope}}\n{{"conversations": 3}}\n[]\n{good}\n')
    made = clean(tmp_path, path, recipe=recipe())
    (read,) = made.common
    assert (read.n_in, read.n_out, read.dropped) == (5, 2, {"cannot be read": 3})
    assert "bad.jsonl, line 2" in read.examples["cannot be read"][0]
    assert "conversations: found 3, expected a list of messages" in read.examples["cannot be read"][1]
    with pytest.raises(RecordRefused, match=r"bad\.jsonl, line 2, record 1"):
        clean(tmp_path, path, recipe=recipe(), name="strict", is_strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"nope", b"\x1f\x8bnope", b"\x28\xb5\x2f\xfdnope", b'[{"text": "Hi"}]', b"3"]
)
def test_a_file_that_holds_no_conversations_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(DatasetError) as caught:
        clean(tmp_path, path)
    assert str(path) in caught.value.message


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 30)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileUnreadable, match=r"ends before|no later line"):
        clean(tmp_path, path)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_as_json_is_no_reason_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(b'{"prompt": "a\\u0000b \\ud83d", "completion": "c\xff"}\n')
    made = clean(tmp_path, path, recipe=recipe())
    (row,) = lines_of(made.sets[0].path)
    assert [m["content"] for m in row["messages"]] == ["ab \ufffd", "c\ufffd"]


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_record_that_is_nested_without_end_is_counted_and_no_crash(
    tmp_path: Path, depth: int, n_workers: int
) -> None:
    path = tmp_path / "deep.jsonl"
    good = json.dumps(sharegpt("1", "Hi", "Ho"))
    path.write_text(f'{good}\n{{"id": "2", "conversations": [], "x": {"[" * depth}{"]" * depth}}}\n{good}\n')
    made = clean(tmp_path, path, recipe=recipe(), n_workers=n_workers)
    assert (made.common[0].n_out, made.common[0].dropped) == (2, {"cannot be read": 1})


def test_a_packed_file_that_is_damaged_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    rows = "".join(json.dumps(sharegpt(f"{n * n * 7919:x}", "Hi", "Ho")) + "\n" for n in range(3000))
    packed = bytearray(gzip.compress(rows.encode()))
    packed[200:300] = b"\xff" * 100
    path.write_bytes(packed)
    with pytest.raises(FileUnreadable, match=r"x\.jsonl\.gz"):
        clean(tmp_path, path, recipe=recipe())


def test_an_output_that_is_there_is_not_touched_without_force(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 30)
    clean(tmp_path, path)
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputExists):
        clean(tmp_path, path, recipe=recipe())
    assert bytes_of(tmp_path / "out") == before
    clean(tmp_path, path, recipe=recipe(), overwrite=True)
    assert set(bytes_of(tmp_path / "out")) == {"tried.jsonl", "report.json", "README.md"}


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


def test_a_run_that_was_killed_goes_on_and_makes_the_same_bytes(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    clean(tmp_path, path)
    steps = tmp_path / "r.yaml"
    steps.write_text(json.dumps({"name": "tried", "steps": list(STEPS), "outputs": TWO_SETS}))
    command = [
        sys.executable,
        "manage.py",
        "clean",
        str(steps),
        "--input",
        str(path),
        "--output",
        str(tmp_path / "again"),
    ]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test"}
    child = subprocess.Popen([*command, "--workers", "1"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    first = tmp_path / "again.unfinished" / "work" / "common-0" / "000001.result"
    try:
        while not first.exists():
            assert child.poll() is None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "again").exists()
    kept = first.stat().st_mtime_ns
    subprocess.run([*command, "--workers", "2"], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    assert kept
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "again")


def test_what_another_recipe_has_left_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 30)
    unfinished = tmp_path / "out.unfinished"
    unfinished.mkdir()
    (unfinished / "plan.json").write_text('{"recipe": "another"}')
    with pytest.raises(WorkStale):
        clean(tmp_path, path)
    clean(tmp_path, path, overwrite=True)
    assert not unfinished.exists()


# --- The command ------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_first_records_and_writes_nothing(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json")
    before = set(tmp_path.iterdir())
    made = recipe_try(recipe(*STEPS), inputs_of([path]), 20, Options())
    assert made.common[0].n_in == 20
    assert set(tmp_path.iterdir()) == before


def test_the_command_says_what_it_read_and_what_came_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, steps = dump(tmp_path / "dump.json", 20), tmp_path / "tidy.yaml"
    steps.write_text("steps: [trim_turns]")
    call_command("clean", str(steps), input=[path], output=tmp_path / "out", workers=1)
    out, err = capsys.readouterr()
    assert "trim_turns" in out
    assert "tidy.jsonl" in out
    assert "is read as sharegpt" in err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"input": []}, "give a RECIPE.yaml and --input"),
        ({"output": None}, "either --output FOLDER or --dry-run N"),
        ({"dry_run": 3}, "either --output FOLDER or --dry-run N"),
        ({"input": [Path("/nowhere.json")]}, "No such file"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    path, steps = dump(tmp_path / "dump.json", 3), tmp_path / "tidy.yaml"
    steps.write_text("steps: [trim_turns]")
    options = {"input": [path], "output": tmp_path / "out", "workers": 1} | given
    with pytest.raises(CommandError, match=says):
        call_command("clean", str(steps), **options)


def test_it_lists_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("clean", steps=True)
    out, _ = capsys.readouterr()
    assert "split_long" in out
    assert "Split conversations" in out
