"""From a configuration to training data: conversations, tokenizer, documents, and the hash of it all."""

import hashlib
from dataclasses import dataclass

from tokenizers import Tokenizer

from gpu_worker.training.config import TrainingConfig
from gpu_worker.training.curriculum import conversations
from gpu_worker.training.curriculum.turns import Persona
from gpu_worker.training.masking import Document
from gpu_worker.training.tokenizer import encode_all, train_tokenizer

# The merges of a small vocabulary do not change any more after this many conversations.
_TOKENIZER_CONVERSATIONS = 20_000


@dataclass(frozen=True, slots=True)
class TrainingData:
    tokenizer: Tokenizer
    documents: list[Document]
    hash: str

    @property
    def lengths(self) -> list[int]:
        return [len(document) for document in self.documents]


def prepare_data(config: TrainingConfig, tokenizer: Tokenizer | None = None) -> TrainingData:
    """Generate and encode everything in memory; pass the tokenizer of a checkpoint to resume with it."""
    persona = Persona(config.name, config.data.show_working, config.data.capitals_share)
    count = config.data.conversations
    if tokenizer is None:
        sample = conversations(config.seed, min(count, _TOKENIZER_CONVERSATIONS), persona)
        texts = (message["content"] for conversation in sample for message in conversation)
        tokenizer = train_tokenizer(texts, vocab_size=config.tokenizer.vocab_size)
    documents = encode_all(conversations(config.seed, count, persona), tokenizer)
    return TrainingData(tokenizer, documents, hash_documents(documents))


def hash_documents(documents: list[Document]) -> str:
    """SHA-256 over token ids and training marks, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.tokens.astype("<u4").tobytes())
        digest.update(document.trained.tobytes())
    return digest.hexdigest()
