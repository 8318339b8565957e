"""Held-out accuracy of a model directory: sums and differences never trained on, capitals in unseen wordings.

Greedy decoding in float32, so that the figure is the same on every machine. Grades the final answer only.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from gpu_worker.training.curriculum.arithmetic import DIFFERENCE_WORDINGS, SUM_WORDINGS
from gpu_worker.training.curriculum.capitals import CAPITALS
from gpu_worker.training.curriculum.heldout import CAPITAL_WORDINGS, held_out_differences, held_out_sums

_BATCH = 50
_MAX_NEW_TOKENS = 96
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """`n` questions asked, `accuracy` between 0 and 1, and a few answers that were wrong."""

    n: int
    accuracy: float
    wrong: list[dict[str, str]]


def questions(task: str, count: int, seed: int) -> list[Question]:
    """`count` held-out questions of one task, the same for the same seed; capitals repeat when there are fewer."""
    rng = Random(f"evaluation/{task}/{seed}")  # noqa: S311 - a sample, not a secret
    everything = list(_EVERYTHING[task](rng))
    rng.shuffle(everything)
    return everything[:count]


def _sum_questions(rng: Random) -> Iterator[Question]:
    for low, high in held_out_sums():
        a, b = rng.sample((low, high), 2)
        yield Question(rng.choice(SUM_WORDINGS).format(a=a, b=b), str(a + b))


def _difference_questions(rng: Random) -> Iterator[Question]:
    for a, b in held_out_differences():
        yield Question(rng.choice(DIFFERENCE_WORDINGS).format(a=a, b=b), str(a - b))


def _capital_questions(rng: Random) -> Iterator[Question]:
    for wording in CAPITAL_WORDINGS:
        for country, city in CAPITALS.items():
            text = wording.format(country=country)
            yield Question(text[0].upper() + text[1:], city)


_EVERYTHING = {"sums": _sum_questions, "differences": _difference_questions, "capitals": _capital_questions}
TASKS = tuple(_EVERYTHING)


def is_correct(task: str, reply: str, answer: str) -> bool:
    """Numbers: the last number in the reply. Capitals: the city is named, and no other capital is."""
    if task == "capitals":
        named = {city for city in CAPITALS.values() if re.search(rf"\b{re.escape(city)}(?!\w)", reply)}
        # "Mexico City" is also found inside itself only; no capital contains another one.
        return named == {answer}
    # The sign belongs to the number only at its start: "9-7" is no negative seven.
    numbers = _NUMBER.findall(re.sub(r"(?<=\d)\s*-\s*(?=\d)", " minus ", reply))
    return bool(numbers) and numbers[-1] == answer


class Answerer:
    """A model directory, loaded for greedy answers in batches."""

    def __init__(self, directory: Path) -> None:
        transformers_logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(directory, padding_side="left")
        # transformers types `generate` with a protocol that its own classes do not meet.
        self._model: Any = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
        self._model.eval()

    def answer(self, chats: Sequence[list[dict[str, str]]], *, max_new_tokens: int = _MAX_NEW_TOKENS) -> list[str]:
        """One reply per conversation, each ending with a user message."""
        replies: list[str] = []
        for start in range(0, len(chats), _BATCH):
            replies += self._batch(list(chats[start : start + _BATCH]), max_new_tokens)
        return replies

    def _batch(self, chats: list[list[dict[str, str]]], max_new_tokens: int) -> list[str]:
        texts = [self._tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                temperature=None,
                top_p=None,
                max_new_tokens=max_new_tokens,
            )
        written = output[:, inputs["input_ids"].shape[1] :]
        return [str(text).strip() for text in self._tokenizer.batch_decode(written, skip_special_tokens=True)]


def evaluate(directory: Path, *, n_questions: int, seed: int = 1) -> dict[str, TaskResult]:
    """Ask up to `n_questions` per task."""
    answerer = Answerer(directory)
    return {task: _grade(answerer, task, questions(task, n_questions, seed)) for task in TASKS}


def _grade(answerer: Answerer, task: str, asked: list[Question]) -> TaskResult:
    replies = answerer.answer([[{"role": "user", "content": question.text}] for question in asked])
    graded = list(zip(asked, replies, strict=True))
    wrong = [(q, r) for q, r in graded if not is_correct(task, r, q.answer)]
    examples = [{"question": q.text, "answer": r, "expected": q.answer} for q, r in wrong[:5]]
    return TaskResult(len(asked), round(1 - len(wrong) / len(asked), 4), examples)


def as_json(results: dict[str, TaskResult]) -> dict[str, Any]:
    return {task: asdict(result) for task, result in results.items()}
