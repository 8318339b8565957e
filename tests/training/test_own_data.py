"""Training on conversations of one's own: from a raw dump to a model that knows them, and what is refused."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from django.core.management import CommandError, call_command
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from apps.training.models import Status, TrainingRun
from gpu_worker.training.card import render_card
from gpu_worker.training.cli import main
from gpu_worker.training.config import parse_config
from gpu_worker.training.data import prepare_data
from gpu_worker.training.held_out import next_tokens
from gpu_worker.training.own_files import DataUnfit, conversations_in
from gpu_worker.training.tokenizer import END, ROLES, encode_all, special_ids, train_tokenizer
from tests.conftest import DEMO_BASE
from tests.datasets.support import sharegpt
from tests.live import ROOT
from tests.training.tiny import tiny_config

COLOURS = ("red", "green", "blue", "white", "black", "brown")
ASKED = ("What is the colour of", "Tell me the colour of", "Which colour has", "Do you know the colour of")


def talks(n: int, *, kind: str) -> list[list[str]]:
    """Of two rounds, which can be learned: the same thing has the same colour."""
    said = [f"{words} {kind} {thing}?" for thing in range(n) for words in ASKED]
    told = [f"<p>It is <b>{COLOURS[thing % 6]}</b>.</p>" for thing in range(n) for _ in ASKED]
    return [[ask, tell, "Are you sure?", "<p>Yes, I am.</p>"] for ask, tell in zip(said, told, strict=True)]


def lines(path: Path, *conversations: Any) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in conversations))
    return str(path)


def talk(*texts: str, id: str = "c1") -> dict[str, Any]:
    return {"id": id, "messages": [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]}


def own_config(folder: Path, files: list[str], test_files: list[str] | None = None, **schedule: int) -> Path:
    data = {"curriculum": "none", "files": files, "test_files": test_files or [], "tokens_per_step": 512}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(tiny_config(folder, **schedule) | {"data": data}))
    return path


# --- From a raw dump to a model -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_from_a_raw_dump_to_a_model_that_has_learned_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump, cleaned = tmp_path / "dump.json", tmp_path / "cleaned"
    dump.write_text(json.dumps([sharegpt(f"c{n}", *one) for n, one in enumerate(talks(60, kind="owl number"))]))
    recipe = ROOT / "configs" / "recipes" / "prepare_all.yaml"
    call_command("clean", recipe, "--input", dump, "--output", cleaned, "--set", f"tokenizer={DEMO_BASE}")
    train, test = (str(cleaned / f"{name}.jsonl") for name in ("train", "test"))
    for name in (train, test):
        call_command("dataset", "check", name)
    config = own_config(tmp_path, [train], [test], steps=200)
    call_command("train", config)

    run = TrainingRun.objects.get()
    record = json.loads((tmp_path / "model" / "run.json").read_text())
    assert (run.status, run.accuracy) == (Status.SUCCEEDED, {"next token": record["next_tokens"]["accuracy"]})
    report = json.loads((cleaned / "report.json").read_text())["sets"]
    assert record["files"] == {train: report["train"]["sha256"], test: report["test"]["sha256"]}
    assert record["n_conversations"] == report["train"]["n_conversations"]
    assert run.accuracy["next token"] > 0.3, "of 400 tokens, untrained it guesses one in hundreds"
    card = (tmp_path / "model" / "README.md").read_text()
    assert card == render_card(record)
    assert record["files"][test] in card
    assert f"--evaluate {tmp_path / 'model'} --questions 2 --write-card" in card
    assert "next token" in capsys.readouterr().err

    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said = model.generate(**asked, max_new_tokens=20, do_sample=False)
    assert tokenizer.decode(said[0, asked["input_ids"].shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_documentation_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("configs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    dump = [sharegpt(f"c{n}", *one) for n, one in enumerate(talks(60, kind="owl number"))]
    (tmp_path / "dump.json").write_text(json.dumps(dump))
    told = (ROOT / "docs" / "data.md").read_text().split("## From a dump to a model")[1].split("## ")[0]
    commands = [line.removeprefix("    manage.py ") for line in told.splitlines() if line.startswith("    manage.py ")]
    assert [command.split()[0] for command in commands] == ["clean", "clean", "dataset", "train"]
    for command in commands:
        call_command(*command.split(), *(["--max-steps", "2"] if command.startswith("train") else []))
    assert "data/sharegpt/test.jsonl" in (tmp_path / "data" / "models" / "own-data" / "README.md").read_text()
    assert TrainingRun.objects.get().accuracy.keys() == {"next token"}


@pytest.mark.django_db(transaction=True)
def test_a_model_is_measured_again_and_one_without_test_files_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = lines(tmp_path / "train.jsonl", *(talk("How are you?", f"Well, {n} times.", id=f"{n}") for n in range(40)))
    test = lines(tmp_path / "test.jsonl", talk("How are you?", "Well, 50 times."))
    call_command("train", own_config(tmp_path, [train], [test], steps=4))
    model = tmp_path / "model"
    before = json.loads((model / "run.json").read_text())
    capsys.readouterr()
    assert main(["--evaluate", str(model), "--write-card"]) == 0
    assert json.loads(capsys.readouterr().out) == before["next_tokens"]
    assert json.loads((model / "run.json").read_text()) == before

    call_command("train", own_config(tmp_path, [train], steps=4), "--overwrite")
    assert "It was not measured" in (model / "README.md").read_text()
    assert main(["--evaluate", str(model)]) == 1
    assert "names no data.test_files" in capsys.readouterr().err


def test_a_card_is_written_of_what_was_trained_here_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert main(["--evaluate", str(tmp_path), "--write-card"]) == 1
    assert "holds no run.json" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
def test_what_is_longer_than_the_context_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = talk("Tell me more", "and more " * 2000, id="long")
    train = lines(tmp_path / "train.jsonl", long, *(talk("Hi", f"Hi {n}", id=f"{n}") for n in range(30)))
    call_command("train", own_config(tmp_path, [train], steps=2))
    assert "1 of 31 conversations are longer than 512 tokens" in capsys.readouterr().err
    assert "(1 of them learned up to the context's length only)" in (tmp_path / "model" / "README.md").read_text()


def test_the_hashes_are_those_of_the_words_that_were_read(tmp_path: Path) -> None:
    train = lines(tmp_path / "train.jsonl", talk("Hi", "Hi"))
    test = lines(tmp_path / "test.jsonl", talk("Hi", "Ho"))
    before = {name: sha256(Path(name).read_bytes()).hexdigest() for name in (train, test)}
    raw = yaml.safe_load(own_config(tmp_path, [train], [test]).read_text())
    data = prepare_data(parse_config(raw))
    lines(tmp_path / "train.jsonl", talk("Hi", "Something else"))
    assert data.files == before


@pytest.mark.django_db(transaction=True)
def test_a_run_does_not_go_on_with_other_words(tmp_path: Path) -> None:
    train = lines(tmp_path / "train.jsonl", *(talk("Hi", f"Hi {n}", id=f"{n}") for n in range(30)))
    config = own_config(tmp_path, [train], steps=8)
    call_command("train", config, "--max-steps", "4")
    call_command("train", config, "--resume", "--max-steps", "6")
    lines(tmp_path / "train.jsonl", *(talk("Hi", f"Ho {n}", id=f"{n}") for n in range(30)))
    with pytest.raises(CommandError, match="other data"):
        call_command("train", config, "--resume")


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_not_fit_is_refused_before_anything_starts(tmp_path: Path) -> None:
    good = [talk("Hi", "Hi", id=f"{n}") for n in range(3)]
    train = lines(tmp_path / "train.jsonl", *good)
    bad = lines(tmp_path / "bad.jsonl", *good, talk("Hi", id="x"), talk("Hi", "", id="y"), {"text": "Hi"})
    for config in (own_config(tmp_path, [train, bad]), own_config(tmp_path, [train], [bad])):
        with pytest.raises(CommandError) as refused:
            call_command("train", config)
        told = str(refused.value)
        assert "bad.jsonl is not fit to train on: 3 of 6 records have a fault" in told
        assert f"{bad}, line 4, record 3, messages: found 'u', expected an answer at the end" in told
        assert f"'manage.py dataset check {bad}'" in told
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("train", own_config(tmp_path, [str(tmp_path / "nowhere.jsonl")]))
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_trained_on_yet_ends_the_run_with_its_line(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
    told = [{"role": "tool", "content": "5"}, {"role": "assistant", "content": "Five."}]
    used = {"id": "t", "messages": [*talk("Hi")["messages"], call, *told]}
    train = lines(tmp_path / "train.jsonl", talk("Hi", "Hi"), used)
    with pytest.raises(CommandError, match="line 2, message 1: only texts can be trained on"):
        call_command("train", own_config(tmp_path, [train]))
    run = TrainingRun.objects.get()
    assert (run.status, run.error_code) == (Status.FAILED, "training.data_unfit")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1, 2", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ('{"conversations": []}', "there are no `messages`"),
        ("[]", "there are no `messages`"),
        ('{"messages": []}', "there are no `messages`"),
        ('{"messages": ["Hi"]}', "message 0: the role is None"),
        ('{"messages": [{"role": "tool", "content": "5"}]}', "message 0: the role is 'tool'"),
        ('{"messages": [{"role": ["user"], "content": "5"}]}', "message 0: the role is ['user']"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "only texts"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "half a character"),
        ("", "there is no conversation in it"),
    ],
)
def test_a_line_that_is_no_conversation_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(DataUnfit) as refused:
        list(conversations_in([str(path)]))
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"{path}, line 2" if line else str(path))


def test_where_nobody_answers_nothing_can_be_measured(tmp_path: Path) -> None:
    path = lines(tmp_path / "test.jsonl", {"messages": [{"role": "user", "content": "Hi"}]})
    with pytest.raises(DataUnfit, match="no assistant says anything"):
        next_tokens(ROOT / "examples" / "models" / "demo-small", [path], n_most=5, seed=1)


# --- How it is encoded and measured -----------------------------------------------------------------------------------


def test_a_mark_that_somebody_wrote_is_a_text_and_ends_nothing() -> None:
    tokenizer = train_tokenizer(["How are you?"] * 3, vocab_size=300)
    text = f"What does {END} do, and {ROLES['assistant']}?"
    [document] = encode_all(
        [[{"role": "user", "content": text}, {"role": "assistant", "content": "It ends."}]], tokenizer
    )
    special = special_ids(tokenizer)
    marks = {special.begin, special.end, *special.roles.values()}
    assert sum(int(token) in marks for token in document.tokens) == 5  # the beginning, and two for each message
    assert tokenizer.decode(document.tokens.tolist(), skip_special_tokens=True) == f"{text}It ends."
    assert tokenizer.encode(END).ids == [special.end], "as before, for whoever has it"


def test_next_tokens_are_measured_as_transformers_does(tmp_path: Path) -> None:
    model_folder = ROOT / "examples" / "models" / "demo-small"
    conversations = [talk("What is 2 + 3?", "2 + 3 = **5**."), talk("Hi", "Hello!", "And now?", "I do not know.")]
    path = lines(tmp_path / "test.jsonl", *conversations)
    found = next_tokens(model_folder, [path], n_most=10, seed=1)

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    losses, right = [], []
    for document in encode_all([one["messages"] for one in conversations], tokenizer):
        with torch.inference_mode():
            logits = model(torch.from_numpy(document.tokens.astype(np.int64))[None]).logits[0, :-1].log_softmax(-1)
        for place, (token, is_trained) in enumerate(zip(document.tokens[1:], document.trained[1:], strict=True)):
            if is_trained:
                losses.append(-float(logits[place, int(token)]))
                right.append(int(logits[place].argmax()) == int(token))
    assert (found.n_conversations, found.n_tokens) == (2, len(losses))
    assert found.loss == pytest.approx(np.mean(losses), abs=1e-3)
    assert found.accuracy == pytest.approx(np.mean(right), abs=1e-4)
    assert next_tokens(model_folder, [path], n_most=1, seed=1).n_conversations == 1
