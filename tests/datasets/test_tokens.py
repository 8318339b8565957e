"""Tokens are counted by the tokenizer that a folder has now, also in a process that works on one run after another."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.datasets.children import children_close
from apps.datasets.errors import RecipeWrong
from apps.datasets.tokens import counter_of
from tests.conftest import DEMO_BASE

TEXT = "How many of these words does a tokenizer know?"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "tokenizer.json").write_bytes((DEMO_BASE / "tokenizer.json").read_bytes())
    yield tmp_path
    children_close()


def count(model: Path) -> int:
    return counter_of(str(model)).count([TEXT])[0]


def test_another_tokenizer_in_the_same_folder_counts_by_itself(model: Path) -> None:
    before = count(model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = []
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert count(model) > before


def test_a_child_that_ended_is_followed_by_another(model: Path) -> None:
    before = count(model)
    child = counter_of(str(model))._child
    child.kill()
    child.wait()
    assert count(model) == before


def test_a_tokenizer_that_is_gone_is_named(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(RecipeWrong, match=r"tokenizer\.json: No such file"):
        count(model)
