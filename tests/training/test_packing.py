"""Masks and rows: the model learns the assistant's words only, and no conversation sees another."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.training.config import parse_config
from gpu_worker.training.curriculum import conversations
from gpu_worker.training.curriculum.turns import Persona
from gpu_worker.training.masking import Document, SpecialIds, encode_conversation
from gpu_worker.training.modeling import build_model
from gpu_worker.training.packing import NOT_TRAINED, first_fit, pack, plan_steps
from gpu_worker.training.tokenizer import encode_all, train_tokenizer, wrap_tokenizer
from gpu_worker.training.trainer import sum_of_losses

SPECIAL = SpecialIds(begin=1, end=2, roles={"system": 3, "user": 4, "assistant": 5})
CHAT = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "uu"},
    {"role": "assistant", "content": "aaa"},
]


def make_document(tokens: list[int], n_given: int = 0) -> Document:
    """Everything after the first `n_given` tokens is trained."""
    return Document(np.array(tokens, dtype=np.int32), np.arange(len(tokens)) >= n_given)


def test_only_the_assistants_words_and_its_end_are_trained() -> None:
    document = encode_conversation(CHAT, lambda text: [100 + ord(c) for c in text], SPECIAL)

    assert document.tokens.tolist() == [1, 3, 215, 2, 4, 217, 217, 2, 5, 197, 197, 197, 2]
    assert document.trained.tolist() == [False] * 9 + [True] * 4


def test_what_is_trained_equals_what_the_chat_template_marks() -> None:
    chats = list(conversations(3, 40, Persona("demo-base")))
    tokenizer = train_tokenizer((m["content"] for chat in chats for m in chat), vocab_size=500)
    wrapped: Any = wrap_tokenizer(tokenizer, context_length=4096)

    for chat, document in zip(chats, encode_all(chats, tokenizer), strict=True):
        rendered = wrapped.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
        assert rendered["input_ids"] == document.tokens.tolist()
        assert [bool(mark) for mark in rendered["assistant_masks"]] == document.trained.tolist()


def test_the_template_asks_for_an_answer_and_refuses_unknown_roles() -> None:
    wrapped = wrap_tokenizer(train_tokenizer(["hello"], vocab_size=300), context_length=64)

    prompt = wrapped.apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|bos|><|user|>hello<|end|><|assistant|>"
    with pytest.raises(Exception, match="unknown role: tool"):
        wrapped.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_digits_are_split_one_by_one_and_text_survives() -> None:
    tokenizer = train_tokenizer(["what is 1234 + 5678? " * 50], vocab_size=300)
    ids = tokenizer.encode("1234 ÄÖ 🙂").ids

    assert [tokenizer.decode([i]) for i in ids[:4]] == ["1", "2", "3", "4"]
    assert tokenizer.decode(ids) == "1234 ÄÖ 🙂"


@given(st.lists(st.integers(1, 64), max_size=60))
def test_every_document_lies_in_exactly_one_row_that_holds_it(lengths: list[int]) -> None:
    rows = first_fit(lengths, (16, 32, 64))

    assert sorted(index for _, members in rows for index in members) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in members) <= width for width, members in rows)
    # No two rows of the widest kind could have been one.
    widest = [sum(lengths[i] for i in members) for width, members in rows if width == 64]
    assert sum(total <= 32 for total in widest) <= 1


def test_packed_rows_keep_tokens_labels_and_positions() -> None:
    first = make_document([1, 4, 50, 2, 5, 60, 61, 2], n_given=5)
    second = make_document([1, 5, 70, 2], n_given=2)
    (rows,) = pack([first, second], max_width=16, padding_token=0)

    assert rows.tokens[0, :12].tolist() == [*first.tokens, *second.tokens]
    assert rows.positions[0, :12].tolist() == [*range(8), *range(4)]
    trained = [(i, int(label)) for i, label in enumerate(rows.labels[0]) if label != NOT_TRAINED]
    assert trained == [(4, 60), (5, 61), (6, 2), (9, 70), (10, 2)]
    assert set(rows.documents[0, 12:].tolist()) == {-1}


def test_a_token_sees_only_its_own_document_and_nothing_ahead() -> None:
    (rows,) = pack([make_document([1] * 5), make_document([2] * 3)], max_width=8, padding_token=0)
    mask = rows.attention_mask()[0, 0]

    for query in range(8):
        for key in range(8):
            assert mask[query, key] == (key <= query and (key < 5) == (query < 5))


def test_packing_changes_no_loss() -> None:
    """The sum over packed rows equals the sum over conversations trained one by one."""
    chats = list(conversations(5, 12, Persona("demo-base")))
    tokenizer = train_tokenizer((m["content"] for chat in chats for m in chat), vocab_size=400)
    documents = encode_all(chats, tokenizer)
    config = parse_config(
        {
            "name": "t",
            "method": "full",
            "model": {"hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2, "kv_heads": 1},
            "output": {"directory": "unused"},
        }
    )
    model = build_model(config, tokenizer, torch.device("cpu"))

    def loss(parts: list[Document]) -> float:
        rows = pack(parts, max_width=1024, padding_token=0)
        with torch.no_grad():
            return sum(float(sum_of_losses(model, part, torch.device("cpu"), torch.float32)) for part in rows)

    assert loss(documents) == pytest.approx(sum(loss([document]) for document in documents), rel=1e-5)


def test_a_document_that_is_too_long_is_cut_and_not_dropped() -> None:
    (rows,) = pack([make_document(list(range(40)))], max_width=16, padding_token=0)
    assert rows.tokens.tolist() == [list(range(16))]


def test_every_epoch_shows_every_document_once_in_another_order() -> None:
    steps = plan_steps([10] * 20, tokens_per_step=50, n_steps=8, seed=3)
    order = [index for step in steps for index in step]

    assert sorted(order[:20]) == sorted(order[20:]) == list(range(20))
    assert order[:20] != order[20:]


def test_a_shorter_plan_is_the_start_of_a_longer_one() -> None:
    lengths = np.random.default_rng(1).integers(5, 50, size=100).tolist()

    longer = plan_steps(lengths, tokens_per_step=200, n_steps=30, seed=3)
    assert plan_steps(lengths, tokens_per_step=200, n_steps=12, seed=3) == longer[:12]
