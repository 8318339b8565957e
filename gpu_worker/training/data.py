"""From a configuration to training data: conversations, tokenizer, documents, and the hash of it all."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tokenizers import Tokenizer

from gpu_worker.training.config import Curriculum, TrainingConfig
from gpu_worker.training.curriculum import conversations
from gpu_worker.training.curriculum.turns import Message, Persona
from gpu_worker.training.masking import Document
from gpu_worker.training.own_files import conversations_in, hashes_of
from gpu_worker.training.tokenizer import N_KEPT, encode_all, train_tokenizer

# The merges of a small vocabulary do not change any more after this many conversations.
_TOKENIZER_CONVERSATIONS = 20_000


@dataclass(frozen=True, slots=True)
class TrainingData:
    tokenizer: Tokenizer
    documents: list[Document]
    hash: str
    files: dict[str, str]
    """SHA-256 of each file it was read from, and of those that the model is to be measured by."""

    @property
    def lengths(self) -> list[int]:
        return [len(document) for document in self.documents]

    def n_longer(self, n_tokens: int) -> int:
        """How many are longer than that."""
        return sum(length > n_tokens for length in self.lengths)


def prepare_data(config: TrainingConfig, tokenizer: Tokenizer | None = None) -> TrainingData:
    """Read or write and encode everything in memory; pass the tokenizer of a checkpoint to resume with it.

    Raises: DataUnfit, OSError: of files of one's own.
    """
    # First: hours later, when the model is written, other words may stand there.
    files = hashes_of((*config.data.files, *config.data.test_files))
    is_own = config.data.curriculum is Curriculum.NONE
    if tokenizer is None:
        sample = islice(_conversations(config), _TOKENIZER_CONVERSATIONS)
        texts = (message["content"] for conversation in sample for message in conversation)
        tokenizer = train_tokenizer(texts, vocab_size=config.tokenizer.vocab_size)
    # What people write hardly repeats.
    documents = encode_all(_conversations(config), tokenizer, n_kept=0 if is_own else N_KEPT)
    return TrainingData(tokenizer, documents, hash_documents(documents), files)


def _conversations(config: TrainingConfig) -> Iterator[list[Message]]:
    if config.data.curriculum is Curriculum.NONE:
        return conversations_in(config.data.files)
    persona = Persona(config.name, config.data.show_working, config.data.capitals_share)
    return conversations(config.seed, config.data.conversations, persona)


def hash_documents(documents: list[Document]) -> str:
    """SHA-256 over token ids and training marks, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.tokens.astype("<u4").tobytes())
        digest.update(document.trained.tobytes())
    return digest.hexdigest()
