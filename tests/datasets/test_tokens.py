"""Tokens are counted by the tokenizer that a folder has now, also in a process that works on one run after another."""

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets import children
from apps.datasets.children import Child, children_close
from apps.datasets.errors import RecipeWrong
from apps.datasets.steps.splitting import SplitLong
from apps.datasets.tokens import TokenCounter, counter_of, tokens_of_byte
from tests.conftest import DEMO_BASE
from tests.datasets.support import talk
from tests.live import wait_until

TEXT = "How many of these words does a tokenizer know?"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "tokenizer.json").write_bytes((DEMO_BASE / "tokenizer.json").read_bytes())
    yield tmp_path
    children_close()


def count(model: Path) -> int:
    return counter_of(str(model)).count([TEXT])[0]


def process_of(model: Path) -> "Popen[bytes]":
    started = counter_of(str(model))._started
    assert started is not None
    return started.process


def test_another_tokenizer_in_the_same_folder_counts_by_itself(model: Path) -> None:
    before = count(model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = []
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert count(model) > before


def test_a_child_that_ended_is_followed_by_another(model: Path) -> None:
    before = count(model)
    killed = process_of(model)
    killed.kill()
    killed.wait()
    assert count(model) == before


def test_a_child_that_is_asked_nothing_ends_by_itself(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "IDLE_S", 0.1)
    before = count(model)
    wait_until(lambda: counter_of(str(model))._started is None, what="the child to be closed")
    assert count(model) == before


def test_a_child_that_was_closed_is_asked_again(model: Path) -> None:
    counter = counter_of(str(model))
    before = counter.count([TEXT])
    children_close()
    assert counter.count([TEXT]) == before
    counter.close()


def test_a_child_is_closed_after_its_answer(model: Path) -> None:
    before, counter, answers = count(model), counter_of(str(model)), []
    process = process_of(model)
    process.send_signal(signal.SIGSTOP)
    asking = Thread(target=lambda: answers.extend(counter.count([TEXT])))
    closing = Thread(target=children_close)
    asking.start()
    wait_until(counter._lock.locked, what="the question")
    closing.start()
    process.send_signal(signal.SIGCONT)
    asking.join()
    closing.join()
    assert answers == [before]
    assert process.poll() is not None


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("sys.stdout.write('[1')", "ended by itself"),
        ("sys.stdout.write('[1'); sys.exit('no memory')", "no memory"),
        ("print('a word of a library'); input()", "an answer that cannot be read"),
    ],
)
def test_what_is_no_whole_answer_is_refused_and_not_taken_for_the_next(says: str, reason: str) -> None:
    class Stammers(Child):
        program = f"import sys; input(); {says}"

        def _argv(self) -> list[str]:
            return [sys.executable, "-c", self.program]

    child = Stammers("")
    with pytest.raises(RecipeWrong, match=reason):
        child.ask(["Tea?"])
    child.program = "input(); print('[7]')"
    assert child.ask(["Tea?"]) == [7]
    child.close()


def test_a_tokenizer_that_is_gone_is_named(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(RecipeWrong, match=r"tokenizer\.json: No such file"):
        count(model)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_no_more_tokens_than_is_said_of_a_byte(text: str) -> None:
    assert tokens_of_byte(str(DEMO_BASE)) == 1
    assert counter_of(str(DEMO_BASE)).count([text]) <= [len(text.encode())]


@pytest.mark.parametrize(
    ("changed", "most"),
    [
        ({"normalizer": {"type": "NFC"}}, 3),
        ({"normalizer": {"type": "NFKC"}}, None),
        ({"normalizer": {"type": "Prepend", "prepend": "_"}}, None),
        ({"pre_tokenizer": None}, None),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}}, 1),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}}, None),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, None),
        ({"model": None}, None),
    ],
)
def test_of_other_tokenizers_it_is_not_said(model: Path, changed: dict[str, object], most: int | None) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_text()) | changed
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert tokens_of_byte(str(model)) == most


def test_a_conversation_that_cannot_be_too_long_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(self: TokenCounter, texts: list[str]) -> list[int]:
        counted.extend(texts)
        return list(map(len, texts))

    monkeypatch.setattr(TokenCounter, "count", count)
    step = SplitLong(str(DEMO_BASE), max_tokens=100, overhead=6)
    for n_chars in (88, 89):
        record = talk("ua", "q" * (n_chars - 1), "ä"[: n_chars - 88] or "a")
        step.apply(record, Counter())
    assert counted == ["q" * 88, "ä"]
