"""Files that call fields and speakers by names of their own."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from django.core.management import CommandError, call_command

from apps.datasets.formats.renaming import Names, names_of_fields, renamed
from apps.datasets.models import DatasetVersion, SourceRecord
from tests.datasets.support import lines_of, written

MAPPED = ["--map", "messages=dialog", "role=who", "content=text", "--speakers", "user=Customer", "assistant=Agent"]


def call(n: int, *texts: str) -> dict[str, Any]:
    said = [{"who": ("Customer", "Agent")[turn % 2], "text": text} for turn, text in enumerate(texts)]
    return {"id": f"call {n}", "dialog": said, "messages": 3, "shop": "Leeds"}


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return written(tmp_path / "calls.jsonl", [call(n, f"Is tea {n} in?", f"It is, number {n}.") for n in range(4)])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("steps: [take_turns, empty_messages]")
    return path


def clean(recipe: Path, path: Path, folder: Path, *more: str) -> list[dict[str, Any]]:
    call_command("clean", recipe, "--input", path, "--output", folder, *more)
    [set_file] = folder.glob("*.jsonl")
    return lines_of(set_file)


# --- Names ------------------------------------------------------------------------------------------------------------


def names(*pairs: str, speakers: tuple[str, ...] = ()) -> Names:
    found = names_of_fields(
        [(known, name) for known, _, name in (pair.partition("=") for pair in pairs)],
        [(known, name) for known, _, name in (pair.partition("=") for pair in speakers)],
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pairs", "value", "expected"),
    [
        (["prompt=q", "completion=a"], {"q": "Hi", "a": "Ho"}, {"prompt": "Hi", "completion": "Ho"}),
        (["input=output", "output=input"], {"input": "1", "output": "2"}, {"output": "1", "input": "2"}),
        (["prompt=q"], {"prompt": "1"}, {"prompt": "1"}),
        (["prompt=q"], {"prompt": 1, "original_prompt": 2, "q": 3},
         {"original_prompt": 2, "prompt": 3, "original_original_prompt": 1}),
        (["role=who"], {"messages": [{"who": "user"}, 5, {"role": "x", "who": "user"}]},
         {"messages": [{"role": "user"}, 5, {"role": "user", "original_role": "x"}]}),
        (["from=who", "value=text"], {"conversations": [{"who": "gpt", "text": "Hi"}]},
         {"conversations": [{"from": "gpt", "value": "Hi"}]}),
        (["messages=dialog"], {"dialog": "no list"}, {"messages": "no list"}),
        (["messages=dialog"], [1, 2], [1, 2]),
    ],
)  # fmt: skip
def test_a_record_has_the_names_of_its_format_and_loses_nothing(pairs: list[str], value: Any, expected: Any) -> None:
    before = json.dumps(value)
    assert renamed(value, names(*pairs)) == expected
    assert json.dumps(value) == before


def test_several_names_may_be_one_speakers() -> None:
    made = renamed(
        {"chosen": [{"role": one, "content": one} for one in ("Guest", "Customer", "Agent", "user")]},
        names(speakers=("user=Guest", "user=Customer", "assistant=Agent")),
    )
    assert [one["role"] for one in made["chosen"]] == ["user", "user", "assistant", "user"]
    assert [one["content"] for one in made["chosen"]] == ["Guest", "Customer", "Agent", "user"]


@pytest.mark.parametrize(
    ("pairs", "speakers", "words"),
    [
        ([("message", "dialog")], [], "'message' is no field that is read here: id, model"),
        ([], [("boss", "X")], "'boss' is nobody who speaks here: user, assistant"),
        ([("prompt", "a"), ("prompt", "b")], [], "one name in the file"),
        ([("prompt", "a"), ("completion", "a")], [], "for one field"),
        ([], [("user", "A"), ("assistant", "A")], "for one speaker"),
    ],
)
def test_names_that_make_no_sense_are_refused(pairs: Any, speakers: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        names_of_fields(pairs, speakers)


def test_a_field_of_a_record_and_one_of_a_message_may_have_one_name() -> None:
    assert renamed({"text": [{"text": "Hi"}]}, names("messages=text", "content=text")) == {
        "messages": [{"content": "Hi"}]
    }


# --- The commands -----------------------------------------------------------------------------------------------------


def test_a_file_with_names_of_its_own_is_cleaned(recipe: Path, calls: Path, tmp_path: Path) -> None:
    rows = clean(recipe, calls, tmp_path / "out", *MAPPED)
    assert [row["messages"] for row in rows] == [
        [{"role": "user", "content": f"Is tea {n} in?"}, {"role": "assistant", "content": f"It is, number {n}."}]
        for n in range(4)
    ]
    assert Counter((row["shop"], row["original_messages"]) for row in rows) == {("Leeds", 3): 4}
    [told] = json.loads((tmp_path / "out" / "report.json").read_text())["inputs"]
    assert told["map"] == {"dialog": "messages", "who": "role", "text": "content"}
    assert told["speakers"] == {"Customer": "user", "Agent": "assistant"}


def test_columns_of_parquet_are_mapped_too(recipe: Path, tmp_path: Path) -> None:
    rows = [{"question": "Tea?", "answer": "Yes."}, {"question": "Milk?", "answer": "No."}]
    columns: Any = {name: Array([row[name] for row in rows], type=DataType.utf8()) for name in rows[0]}
    write_parquet(Table.from_pydict(columns), tmp_path / "a.parquet")
    made = clean(recipe, tmp_path / "a.parquet", tmp_path / "out", "--map", "prompt=question", "completion=answer")
    assert [[one["content"] for one in row["messages"]] for row in made] == [["Tea?", "Yes."], ["Milk?", "No."]]


def test_a_run_that_was_broken_off_does_not_go_on_under_other_names(
    recipe: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("apps.datasets.cleaning.put_in_place", broken)
        with pytest.raises(KeyboardInterrupt):
            clean(recipe, calls, tmp_path / "out", *MAPPED)
    with pytest.raises(CommandError, match="other input"):
        clean(recipe, calls, tmp_path / "out", "--format", "messages", "--map", "messages=dialog", "role=who")
    assert len(clean(recipe, calls, tmp_path / "out", *MAPPED)) == 4


def test_a_file_is_checked_by_its_own_names(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("dataset", "check", calls, *MAPPED)
    assert "4 records of messages, 0 with a fault" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be trained on"):
        call_command("dataset", "check", calls, *MAPPED[:4])  # whoever Customer is
    assert "found 'Customer', expected system, user" in capsys.readouterr().out


@pytest.mark.django_db
def test_rows_stand_beside_their_sources_by_the_names_here(
    recipe: Path, calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean(recipe, calls, tmp_path / "out", *MAPPED, "--dataset", "calls")
    assert json.loads(SourceRecord.objects.earliest("record").value or "")["messages"][0] == {
        "role": "user",
        "content": "Is tea 0 in?",
    }
    call_command("dataset", "inspect", "calls", "--row", "1")
    assert "Is tea 1 in?" in capsys.readouterr().out
    call_command("dataset", "import", "again", calls, *MAPPED)
    new, old = DatasetVersion.objects.order_by("-pk")
    assert (new.n_rows, old.n_rows) == (4, 4)
    assert new.inputs[0]["speakers"] == old.inputs[0]["speakers"] == {"Customer": "user", "Agent": "assistant"}
    call_command("dataset", "import", "third", tmp_path / "out", "--source", calls, *MAPPED)
    with pytest.raises(CommandError, match="--map, --speakers"):
        call_command("dataset", "import", "fourth", tmp_path / "out", *MAPPED)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--map", "messages"], "is no pair"),
        (["--map", "mesages=dialog"], "is no field that is read here"),
        (["--speakers", "clerk=Agent"], "is nobody who speaks here"),
        (["--map", "messages=dialgo"], "the first record has id, dialog"),
    ],
)
def test_what_is_written_wrongly_is_refused_in_words(
    recipe: Path, calls: Path, tmp_path: Path, given: list[str], words: str
) -> None:
    path = written(tmp_path / "calls.jsonl", [{"id": "1", "dialog": []}])
    with pytest.raises(CommandError, match=words):
        clean(recipe, path, tmp_path / "out", *given)


@pytest.mark.django_db
def test_what_is_of_this_site_has_no_other_names(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="are for files"):
        call_command("clean", recipe, "--input", "site:chats", "--dry-run", "3", *MAPPED)
