"""A tiny model's folder as one GGUF file: the same weights in float32 and the same tokenizer, for llama.cpp."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CONTROL, NORMAL = 3, 1


def write_gguf(folder: Path, target: Path) -> Path:
    """Write the Llama model in `folder` (see `tiny_models`) to the file `target` and return it."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(writer, folder)
    for name, weight in _weights(folder, config).items():
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _add_tokenizer(writer: Any, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([CONTROL if word in special else NORMAL for word in words])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary["<s>"])
    writer.add_eos_token_id(vocabulary["</s>"])
    writer.add_unk_token_id(vocabulary["<unk>"])
    writer.add_pad_token_id(vocabulary["<unk>"])
    writer.add_add_bos_token(False)
    if "chat_template" in config:
        writer.add_chat_template(config["chat_template"])


def _weights(folder: Path, config: dict[str, Any]) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    stored = load_file(folder / "model.safetensors")
    weights = {
        "token_embd.weight": stored["model.embed_tokens.weight"],
        "output_norm.weight": stored["model.norm.weight"],
        "output.weight": stored["lm_head.weight"],
    }
    heads = {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in names.items():
            weight = stored[f"model.layers.{layer}.{theirs}.weight"]
            if theirs in heads:
                weight = _interleaved(weight, heads[theirs])
            weights[f"blk.{layer}.{ours}.weight"] = weight
    return weights


def _interleaved(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """llama.cpp turns neighbouring dimensions of a head, transformers dimensions half a head apart."""
    n_out, n_in = weight.shape
    halves = weight.reshape(n_heads, 2, n_out // n_heads // 2, n_in)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(n_out, n_in))
