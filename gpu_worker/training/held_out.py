"""How well a model directory foretells conversations that it has not learned: its next tokens, in float32."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from gpu_worker.training.curriculum.turns import Message
from gpu_worker.training.masking import Document
from gpu_worker.training.own_files import DataUnfit, conversations_in
from gpu_worker.training.packing import pack
from gpu_worker.training.tokenizer import PAD, encode_all, token_id
from gpu_worker.training.trainer import logits_and_labels

_TOKENS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class NextTokens:
    """Over the tokens that an assistant wrote: how many, which share was the likeliest one, and the mean loss."""

    n_conversations: int
    n_tokens: int
    accuracy: float
    loss: float


def next_tokens(directory: Path, files: Sequence[str], *, n_most: int, seed: int) -> NextTokens:
    """By `n_most` of the conversations, drawn by `seed`. Raises: DataUnfit, OSError."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    transformers_logging.disable_progress_bar()
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    documents = encode_all(_drawn(files, n_most, seed), tokenizer, n_kept=0)
    n_tokens, n_right, loss = 0, 0, 0.0
    for some in _batches(documents):
        width = model.config.max_position_embeddings
        for rows in pack(some, max_width=width, padding_token=token_id(tokenizer, PAD)):
            with torch.inference_mode():
                logits, labels = logits_and_labels(model, rows, torch.device("cpu"), torch.float32)
                loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
                n_right += int((logits.argmax(-1) == labels).sum())
                n_tokens += len(labels)
    if not n_tokens:
        raise DataUnfit(f"{', '.join(files)}: no assistant says anything within the model's context")
    return NextTokens(len(documents), n_tokens, round(n_right / n_tokens, 4), round(loss / n_tokens, 4))


def _drawn(files: Sequence[str], n_most: int, seed: int) -> Iterator[list[Message]]:
    count = sum(1 for _ in conversations_in(files))
    chosen = set(Random(f"test/{seed}").sample(range(count), min(count, n_most)))  # noqa: S311 - a sample, no secret
    return (one for number, one in enumerate(conversations_in(files)) if number in chosen)


def _batches(documents: list[Document]) -> Iterator[list[Document]]:
    """Neighbours of about so many tokens together."""
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if sum(map(len, batch)) >= _TOKENS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
