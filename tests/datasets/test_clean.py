"""`manage.py clean`: from a file of raw conversations to sets on disk, with every row accounted for."""

import gzip
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.core.management import CommandError, call_command

from apps.datasets.cleaning import recipe_try
from apps.datasets.errors import DatasetError, FileUnreadable, OutputUnwritable, RecordRefused
from apps.datasets.formats.files import raw_records
from apps.datasets.formats.writing import Form
from apps.datasets.run import Options, inputs_of
from tests.conftest import DEMO_BASE
from tests.datasets.support import STEPS, bytes_of, clean, dump, lines_of, recipe, sharegpt, written


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


def test_what_has_the_name_of_something_that_is_written_is_kept_under_another(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<b>Hi</b>", "role": "guest", "content": "raw"}, {"from": "gpt", "value": "Ho"}]
    own: dict[str, Any] = {"source": "forum", "model": 7, "messages": ["kept"]}
    path = written(tmp_path / "s.jsonl", [{"id": "1", "conversations": turns, **own}])
    made = clean(tmp_path, path, recipe=recipe("html_to_markdown"))
    (row,) = lines_of(made.sets[0].path)
    said = {"role": "user", "content": "**Hi**", "original_role": "guest", "original_content": "raw"}
    assert row["messages"] == [said, {"role": "assistant", "content": "Ho"}]
    assert (row["model"], row["original_messages"], row["original_source"]) == (7, ["kept"], "forum")
    assert row["source"] == {"file": "s.jsonl", "record": 0, "steps": ["html_to_markdown"]}
    again = clean(tmp_path, made.sets[0].path, recipe=recipe(), name="again")
    (row,) = lines_of(again.sets[0].path)
    assert (row["original_source"], row["original_original_source"]["file"]) == ("forum", "s.jsonl")
    as_sharegpt = clean(tmp_path, path, recipe=recipe(), name="other", form=Form.SHAREGPT)
    (row,) = lines_of(as_sharegpt.sets[0].path)
    assert row["conversations"] == [{**turns[0], "from": "human"}, turns[1]]


def test_a_pair_of_answers_stays_a_pair(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"prompt": "Hi", "chosen": "<p>Ho</p>", "rejected": "No"}])
    made = clean(tmp_path, path, recipe=recipe("trim_turns", "take_turns", "html_to_markdown", "single_round"))
    (row,) = lines_of(made.sets[0].path)
    assert row["chosen"] == [{"role": "assistant", "content": "Ho"}]
    assert row["rejected"] == [{"role": "assistant", "content": "No"}]


def test_parts_of_a_conversation_that_was_split_stay_in_one_part(tmp_path: Path) -> None:
    talks = [sharegpt(str(n), *[f"{n} {turn} " + "word " * 20 for turn in range(8)]) for n in range(40)]
    split = {"split_long": {"tokenizer": str(DEMO_BASE), "max_tokens": 80}}
    outputs = {part: {"steps": [{"part": {"keep": part, "test_share": 0.5}}]} for part in ("train", "test")}
    made = clean(tmp_path, written(tmp_path / "t.jsonl", talks), recipe=recipe(split, outputs=outputs))
    train, test = ({row["source"]["record"] for row in lines_of(one.path)} for one in made.sets)
    assert made.common[1].n_made >= 40
    assert train and test
    assert not train & test


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
    for n_workers in (1, 2):
        with pytest.raises(RecordRefused, match=r"bad\.jsonl, line 2, record 1"):
            clean(tmp_path, path, recipe=recipe(), name="strict", is_strict=True, n_workers=n_workers)
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


def test_a_pipe_is_refused_before_any_of_it_is_lost(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileUnreadable, match="write it into a file first"):
        clean(tmp_path, pipe)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", 30)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileUnreadable, match=r"ends before|no later line"):
        clean(tmp_path, path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_packed_file_is_refused_wherever_it_is_cut_off_and_may_have_several_pieces(tmp_path: Path, pack: Any) -> None:
    rows = [json.dumps(sharegpt(str(n), f"{n * n * 7919:x}", "Ho")).encode() + b"\n" for n in range(2_000)]
    pieces = [pack(b"".join(rows[:5])), pack(b"".join(rows[5:]))]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(pieces))
    assert [raw.value for raw in raw_records(path)] == list(map(json.loads, rows))
    n_bytes = path.stat().st_size
    for cut in (1, 2, 4, 9, n_bytes // 3, n_bytes // 2, len(pieces[1]) - 9, len(pieces[1]) + 3):
        path.write_bytes(b"".join(pieces)[:-cut])
        with pytest.raises(FileUnreadable):
            for _ in raw_records(path):
                pass


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


def test_a_dry_run_without_room_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dump(tmp_path / "dump.json", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputUnwritable, match="nowhere cannot be written: No such file"):
        recipe_try(recipe(), inputs_of([path]), 2, Options())


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
