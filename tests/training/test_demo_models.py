"""The two models that ship with the repository: small files, no pickle, and as good as their cards say."""

import json
from pathlib import Path

import pytest
import yaml
from transformers import AutoTokenizer

from gpu_worker.training.card import render_card
from gpu_worker.training.cli import main
from gpu_worker.training.config import parse_config
from gpu_worker.training.curriculum.capitals import CAPITALS
from gpu_worker.training.evaluation import Answerer, is_correct, questions
from tests.live import ROOT

MODELS = ROOT / "examples" / "models"
NAMES = ("demo-base", "demo-small")
N_QUESTIONS = 60


def accuracy(answerer: Answerer, task: str) -> float:
    asked = questions(task, N_QUESTIONS, seed=2)
    replies = answerer.answer([[{"role": "user", "content": question.text}] for question in asked])
    return sum(is_correct(task, r, q.answer) for q, r in zip(asked, replies, strict=True)) / len(asked)


@pytest.fixture(scope="module")
def base() -> Answerer:
    return Answerer(MODELS / "demo-base")


@pytest.fixture(scope="module")
def small() -> Answerer:
    return Answerer(MODELS / "demo-small")


@pytest.mark.parametrize("task", ["sums", "capitals"])
def test_demo_base_answers_what_it_was_never_trained_on_and_demo_small_less_well(
    base: Answerer, small: Answerer, task: str
) -> None:
    good, weak = accuracy(base, task), accuracy(small, task)
    assert good >= 0.85
    assert weak <= good - 0.1


def test_a_conversation_can_be_followed_up(base: Answerer) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    chat.append({"role": "assistant", "content": base.answer([chat])[0]})
    chat.append({"role": "user", "content": "And of Spain?"})

    assert "Paris" in chat[1]["content"]
    assert "Madrid" in base.answer([chat])[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_says_its_own_name(name: str, base: Answerer, small: Answerer) -> None:
    answerer = base if name == "demo-base" else small
    (reply,) = answerer.answer([[{"role": "user", "content": "Who are you?"}]])
    assert name in reply


def test_an_unknown_question_gets_an_honest_answer(base: Answerer) -> None:
    (reply,) = base.answer([[{"role": "user", "content": "Who won the world cup in 1987?"}]])
    assert "small demonstration model" in reply


def test_both_together_take_at_most_twelve_megabytes() -> None:
    assert sum(path.stat().st_size for name in NAMES for path in (MODELS / name).iterdir()) <= 12_000_000


@pytest.mark.parametrize("name", NAMES)
def test_there_is_nothing_in_a_model_directory_that_could_run(name: str) -> None:
    allowed = {".json", ".jinja", ".md", ".safetensors"}
    assert {path.suffix for path in (MODELS / name).iterdir()} <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_card_and_record_agree_with_the_shipped_configuration(name: str) -> None:
    record = json.loads((MODELS / name / "run.json").read_text())
    config = parse_config(yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text()))

    assert record["config_hash"] == config.hash
    assert (MODELS / name / "README.md").read_text() == render_card(record)
    assert record["step"] == config.schedule.steps == len(record["losses"])


@pytest.mark.parametrize("name", NAMES)
def test_the_tokenizer_brings_its_chat_template_and_room_for_long_chats(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODELS / name)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|bos|><|user|>Hi<|end|><|assistant|>"
    assert json.loads((MODELS / name / "config.json").read_text())["max_position_embeddings"] >= 1024


def test_the_command_line_measures_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--evaluate", str(MODELS / "demo-small"), "--questions", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {task: result["n"] for task, result in printed.items()} == {"sums": 3, "differences": 3, "capitals": 3}


def test_a_directory_without_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--evaluate", str(tmp_path)]) == 1
    assert "holds no model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "reply", "answer", "expected"),
    [
        ("sums", "7 + 5 = 12, write 2 and carry 1. So 17 + 25 = **42**.", "42", True),
        ("sums", "17 + 25 = **43**.", "42", False),
        ("differences", "5 - 9 = **-4**.", "-4", True),
        ("differences", "9-7 is 9-7", "-7", False),
        ("sums", "I do not know.", "42", False),
        ("capitals", "The capital of France is **Paris**.", "Paris", True),
        ("capitals", "Paris or London", "Paris", False),
        ("capitals", "It is **Bern**.", "Bern", True),
        ("capitals", "It is **Berlin**.", "Bern", False),
    ],
)
def test_the_grader_reads_the_final_answer(task: str, reply: str, answer: str, expected: bool) -> None:
    assert is_correct(task, reply, answer) is expected


def test_no_capital_hides_inside_another() -> None:
    cities = list(CAPITALS.values())
    assert all(is_correct("capitals", f"It is **{city}**.", city) for city in cities)
