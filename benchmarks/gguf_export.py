"""Writes a Llama model folder as a GGUF file, in float32 or with its matrices in 8 bits, for llama.cpp.

Only what the benchmarks' models have: one safetensors file, untied weights, a byte-level BPE tokenizer with GPT-2's
pre-tokenizer. Source: llama.cpp, convert_hf_to_gguf.py, LlamaModel; the GGUF specification in ggml's docs.
"""

import json
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from numpy.typing import NDArray
from safetensors.numpy import load_file


class Precision(StrEnum):
    """Of the matrices; vectors stay in float32."""

    F32 = "f32"
    Q8_0 = "q8_0"


OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
IN_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


def gguf_file(folder: Path, precision: Precision) -> Path:
    """The GGUF file of a model folder, written beside it when it is not there."""
    path = folder.with_name(f"{folder.name}-{precision}.gguf")
    if not path.is_file():
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            write_gguf(folder, unfinished, precision)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def write_gguf(folder: Path, path: Path, precision: Precision) -> None:
    """Raises: ValueError for a model that is not of the kind above."""
    config = _read(folder / "config.json")
    if config["model_type"] != "llama" or config["tie_word_embeddings"]:
        raise ValueError(f"{folder.name}: only Llama models whose output weights are their own are converted")
    writer = GGUFWriter(path, "llama")
    _add_shape(writer, config, precision, folder.name)
    _add_tokenizer(writer, _read(folder / "tokenizer.json"), _read(folder / "tokenizer_config.json"), config)
    for name, weight in load_file(folder / "model.safetensors").items():
        _add_weight(writer, name, weight, config, precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _add_shape(writer: GGUFWriter, config: dict[str, Any], precision: Precision, name: str) -> None:
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.ALL_F32 if precision is Precision.F32 else LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(
    writer: GGUFWriter, tokenizer: dict[str, Any], names: dict[str, Any], config: dict[str, Any]
) -> None:
    split = tokenizer["pre_tokenizer"]
    if tokenizer["model"]["type"] != "BPE" or split["type"] != "ByteLevel" or not split["use_regex"]:
        raise ValueError("only byte-level BPE tokenizers with GPT-2's pre-tokenizer are converted")
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)  # the chat template writes it
    writer.add_chat_template(names["chat_template"])


def _add_weight(
    writer: GGUFWriter, name: str, weight: NDArray[np.float32], config: dict[str, Any], precision: Precision
) -> None:
    if name.endswith("q_proj.weight"):
        weight = interleaved(weight, config["num_attention_heads"])
    elif name.endswith("k_proj.weight"):
        weight = interleaved(weight, config["num_key_value_heads"])
    if precision is Precision.Q8_0 and weight.ndim == 2:
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(gguf_name(name), quants.quantize(weight, kind), raw_dtype=kind)
    else:
        writer.add_tensor(gguf_name(name), weight)


def gguf_name(name: str) -> str:
    """llama.cpp's name for a weight of transformers' Llama. Raises: KeyError."""
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
    return f"blk.{layer[1]}.{IN_LAYER[layer[2]]}" if layer else OUTSIDE[name]


def interleaved(weight: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """Order a projection's rows for llama.cpp's rotation, which turns neighbours; transformers turns halves."""
    rows, columns = weight.shape
    halves = weight.reshape(n_heads, 2, rows // n_heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
