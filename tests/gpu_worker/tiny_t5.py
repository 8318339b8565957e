"""Tiny encoder-decoder models of the T5 family with random weights and a Unigram tokenizer, made offline.

Real in every format, worthless as language models, like those of `tiny_models`.
"""

import re
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gpu_worker.tiny_models import CORPUS_FILES

PAD, END, UNKNOWN = 0, 1, 2
VOCABULARY = 512

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 48,
    "d_kv": 16,
    "d_ff": 96,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 40,
    "decoder_start_token_id": PAD,
}
"""Heads that are together wider than the model, and a decoder that is not like the encoder, as in the real ones."""

KINDS: dict[str, dict[str, Any]] = {
    "t5": {"model_type": "t5"},
    "t5 v1.1": {"model_type": "t5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "mt5": {"model_type": "mt5"},
    "umt5": {"model_type": "umt5"},
}


LOUDER = {".o.weight": 6, ".wo.weight": 6, ".q.weight": 6, "shared.weight": 0.3}
"""Factors of random weights. Without them every token predicts itself, whatever was read before and how far away."""


def make_tiny_t5(path: Path, kind: str = "t5", *, context: int | None = 512, **sizes: int) -> Path:
    """Write a model folder at `path` and return it.

    `context`: what the tokenizer says of the longest text. `sizes`: other than in `SIZES`.
    """
    path.mkdir(parents=True, exist_ok=True)
    build_t5(kind, **sizes).save_pretrained(path)
    _write_tokenizer(path, context)
    return path


def build_t5(kind: str, **sizes: int) -> Any:
    """The model alone."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    settings = SIZES | KINDS[kind] | sizes
    config = AutoConfig.for_model(**settings)
    make: Any = AutoModelForSeq2SeqLM.from_config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "layer_norm" in name:  # ones would hide that they are left out
                    parameter.add_(torch.randn_like(parameter) * 0.1)
                if "relative_attention_bias" in name:
                    parameter.normal_(std=4)
                for ending, factor in LOUDER.items():
                    if name.endswith(ending):
                        parameter.mul_(factor)
    return model


def _write_tokenizer(path: Path, context: int | None) -> None:
    from transformers import T5Tokenizer

    options: dict[str, Any] = {} if context is None else {"model_max_length": context}
    tokenizer: Any = T5Tokenizer(vocab=_pieces(), extra_ids=0, **options)
    tokenizer.save_pretrained(path)


def _pieces() -> list[tuple[str, float]]:
    """Every printable ASCII character, and the most frequent words of some texts; training would take half a minute."""
    library = Path(sysconfig.get_paths()["stdlib"])
    words = Counter(re.findall("[a-z]+", " ".join((library / name).read_text("utf-8") for name in CORPUS_FILES)))
    letters = [(chr(code), -9.0) for code in range(33, 127)]
    n_words = VOCABULARY - 4 - len(letters)
    frequent = [(f"▁{word}", -4.0 - 0.01 * rank) for rank, (word, _) in enumerate(words.most_common(n_words))]
    return [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters, *frequent]
