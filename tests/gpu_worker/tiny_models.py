"""Tiny Llama models with random weights and a byte-level BPE tokenizer, made offline in about a second.

Real in every format (config, safetensors, tokenizer, chat template), worthless as language models. The tokenizer is
trained on the standard library's own sources, which every machine has.
"""

import json
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNKNOWN, BEGIN, END = 0, 1, 2

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

TOOLS_CHAT_TEMPLATE = (
    "{{ bos_token }}{% if tools %}{{ 'TAUGHT' }} {{ tools | tojson }}{{ '\n' }}{% endif %}{% for message in messages %}"
    "{{ message['role'] + ': ' + message['content'] }}{% for call in message.tool_calls or [] %}"
    "{{ ' calls ' + call.id + ' ' + call.function.name + ' ' }}{{ call.function.arguments | tojson }}{% endfor %}"
    "{% if message.tool_call_id %}{{ ' for ' + message.tool_call_id }}{% endif %}{{ '\n' }}{% endfor %}assistant: "
)
"""Knows tools; `TAUGHT` stands where a real one teaches how to write calls."""

CORPUS_FILES = ("argparse.py", "ast.py", "calendar.py", "codecs.py", "datetime.py", "textwrap.py", "typing.py")


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model. The default has about 0.2 million parameters."""

    vocabulary: int = 512
    context: int = 512
    hidden: int = 64
    intermediate: int = 160
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2


def make_tiny_model(
    path: Path,
    *,
    seed: int = 0,
    never_ends: bool = True,
    shape: Shape | None = None,
    chat_template: str | None = CHAT_TEMPLATE,
    markers: Sequence[str] = (),
) -> Path:
    """Write a model folder at `path` and return it.

    `never_ends`: the end token is impossible, and so is every token that is not UTF-8 by itself: `max_tokens` alone
    sets the length of an answer, and each token is visible text. Otherwise nothing is impossible.
    `chat_template`: None for a model that has none. `markers`: further special tokens.
    """
    shape = shape or Shape()
    impossible = write_tokenizer(path, shape, chat_template, markers)
    _write_weights(path, shape, seed=seed, impossible=impossible if never_ends else [])
    return path


def write_tokenizer(path: Path, shape: Shape, chat_template: str | None, markers: Sequence[str]) -> list[int]:
    """Return the ids that are special or no text by themselves."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=["<unk>", "<s>", "</s>", *markers],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library = Path(sysconfig.get_paths()["stdlib"])
    tokenizer.train_from_iterator(((library / name).read_text("utf-8") for name in CORPUS_FILES), trainer)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
        **names,
    }
    if chat_template is not None:
        config["chat_template"] = chat_template
    (path / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    broken = [i for i in range(3, tokenizer.get_vocab_size()) if "\ufffd" in tokenizer.decode([i])]
    return [UNKNOWN, BEGIN, END, *broken]


def _write_weights(path: Path, shape: Shape, *, seed: int, impossible: list[int]) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.hidden,
                intermediate_size=shape.intermediate,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                num_key_value_heads=shape.kv_heads,
                max_position_embeddings=shape.context,
                # Random weights of the usual size make every next token alike: argmax would turn on rounding.
                initializer_range=0.2,
                tie_word_embeddings=False,
                bos_token_id=BEGIN,
                eos_token_id=END,
                pad_token_id=UNKNOWN,
            )
        )
    if impossible:
        _forbid(model, impossible)
    model.save_pretrained(path)


def _forbid(model: Any, impossible: list[int]) -> None:
    """Make tokens impossible by the weights alone.

    Hidden dimension 0 holds a constant in every embedding and no layer writes to it. So after the final norm it is
    positive at every position, and a large negative weight on it in a token's output row keeps that token away.
    """
    import torch

    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 1.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0].zero_()
            layer.mlp.down_proj.weight[0].zero_()
        head = model.lm_head.weight
        head[:, 0] = 0.0
        head[impossible] = 0.0
        head[impossible, 0] = -1000.0
