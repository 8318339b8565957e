"""A byte-level BPE tokenizer of our own, trained on the curriculum, with its chat template.

Digits are always single tokens: a model that sees 17 as "1" and "7" can learn to add column by column.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from gpu_worker.training.curriculum.turns import Message
from gpu_worker.training.masking import Document, SpecialIds, encode_conversation

PAD, BEGIN, END = "<|pad|>", "<|bos|>", "<|end|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
N_KEPT = 20_000
SPECIAL_TOKENS = [PAD, BEGIN, END, *ROLES.values()]
# The generation marks let other trainers find the assistant's tokens; they render nothing.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>"
    "{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% elif message['role'] == 'user' %}<|user|>{{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'system' %}<|system|>{{ message['content'] }}<|end|>"
    "{% else %}{{ raise_exception('unknown role: ' + message['role']) }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> Tokenizer:
    """Learn the merges; texts are single messages."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, *, context_length: int) -> PreTrainedTokenizerFast:
    """The same tokenizer as transformers loads it, with special tokens and chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES.values()),
        chat_template=CHAT_TEMPLATE,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    return SpecialIds(
        begin=token_id(tokenizer, BEGIN),
        end=token_id(tokenizer, END),
        roles={role: token_id(tokenizer, token) for role, token in ROLES.items()},
    )


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """Raises KeyError for a token that the vocabulary lacks."""
    found = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(token)
    return int(found)


def encode_all(conversations: Iterable[list[Message]], tokenizer: Tokenizer, *, n_kept: int = N_KEPT) -> list[Document]:
    """Documents of all conversations. A mark such as `<|end|>` in a message is text like any other, and marks nothing.

    `n_kept`: the tokens of so many texts are kept, where many are equal, for example short answers; all of them would
    not fit into memory.
    """
    special = special_ids(tokenizer)

    @lru_cache(maxsize=n_kept)
    def encode(text: str) -> list[int]:
        return list(cast(Any, tokenizer.encode(text, add_special_tokens=False)).ids)

    tokenizer.encode_special_tokens = True
    try:
        return [encode_conversation(messages, encode, special) for messages in conversations]
    finally:
        tokenizer.encode_special_tokens = False
