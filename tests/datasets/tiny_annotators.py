"""Tiny models whose weights are set by hand, so that what they say of texts is known: one compares texts by their
words, one finds the names that it was told."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

WINDOW = 32
"""Tokens that both read at once."""
NAMES = ("Alice", "Bob", "Ada", "Lovelace")


def make_word_embedder(path: Path, words: Iterable[str]) -> Path:
    """A text's vector is the mean of those of its words, whatever their order."""
    import torch
    from transformers import AutoModel

    model = _model(AutoModel, _tokenizer(path, words))
    table = model.embeddings.word_embeddings.weight
    with torch.no_grad():
        table.copy_(torch.randn(table.shape, generator=torch.Generator().manual_seed(7)))
    model.save_pretrained(path)
    return path


def make_name_finder(path: Path, labels: tuple[str, ...] = ("O", "B-PER", "I-PER")) -> Path:
    """Says B-PER of each of `NAMES`, and O of all other words."""
    import torch
    from transformers import AutoModelForTokenClassification

    ids = _tokenizer(path, NAMES)
    model = _model(AutoModelForTokenClassification, ids, id2label=dict(enumerate(labels)))
    with torch.no_grad():
        table = model.bert.embeddings.word_embeddings.weight
        table.zero_()
        table[:, 0] = 1.0
        for name in NAMES:
            table[ids[name], 0], table[ids[name], 1] = 0.0, 1.0
        model.classifier.weight.zero_()
        model.classifier.weight[0, 0] = model.classifier.weight[1, 1] = 1.0
    model.save_pretrained(path)
    return path


def _tokenizer(path: Path, words: Iterable[str]) -> dict[str, int]:
    """A word is a token. Their numbers."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    ids = {word: number for number, word in enumerate(dict.fromkeys(["[PAD]", "[UNK]", *words]))}
    backend = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", model_max_length=WINDOW)
    tokenizer.save_pretrained(path)
    return ids


def _model(kind: Any, ids: dict[str, int], **config: object) -> Any:
    """Without layers, so that each token says what stands in its row."""
    import torch
    from transformers import AutoConfig

    shape = AutoConfig.for_model(
        "bert",
        vocab_size=len(ids),
        hidden_size=32,
        num_hidden_layers=0,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=WINDOW,
        **config,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind.from_config(shape)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "position_embeddings" in name or "token_type_embeddings" in name or name == "classifier.bias":
                weight.zero_()
    return model.eval()
