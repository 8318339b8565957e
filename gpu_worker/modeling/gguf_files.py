"""GGUF files, as llama.cpp reads them: found, their facts, and their tokenizer.

It reads headers; the weights are llama.cpp's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_worker.modeling.source import ModelRefused, ModelSpec

CACHE_BYTES_PER_NUMBER = 2
"""llama.cpp keeps keys and values in float16."""

HOW_TO_INSTALL = "install what GGUF files need with: pip install 'fastchat-site[llamacpp]'"

PROBES = (
    "Hello, who are you? I'm 1234567 years old.",
    "def f(x):\n    return  x**2\t# é 中文 🙂\r\n\n\n",
    "  spaces   and\u00a0others\u3000, it's DON'T can't",
)
"""Texts that two tokenizers hardly ever cut alike unless they are the same."""


def find_gguf(spec: ModelSpec) -> Path | None:
    """The GGUF file that a source means: itself, or the only one of a folder without safetensors."""
    source = Path(spec.source).expanduser()
    if source.is_file() and source.suffix == ".gguf":
        return source
    if not source.is_dir() or any(source.glob("*.safetensors")):
        return None
    files = sorted(source.glob("*.gguf"))
    if len(files) > 1:
        raise ModelRefused(f"{spec.name}: its folder has {len(files)} GGUF files; give the path of one of them")
    return files[0] if files else None


ENCODERS = frozenset({"t5", "t5encoder"})
"""Architectures whose prompt goes to an encoder. Source: llama.cpp, `gguf-py/gguf/constants.py`."""


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """What the worker must know of a GGUF file."""

    context_length: int
    n_parameters: int
    n_vocabulary: int
    file_type: str
    """The number format of most weights, such as `f32` or `q8_0`."""
    cache_bytes_per_token: int
    end_ids: frozenset[int]


def read_facts(path: Path, name: str) -> GgufFacts:
    """Read a GGUF file's header. Raises: ModelRefused."""
    try:
        import gguf
    except ImportError as exc:
        raise ModelRefused(f"{name}: this worker cannot read GGUF files; {HOW_TO_INSTALL}") from exc
    try:
        reader = gguf.GGUFReader(path)
        return _facts(reader, gguf.LlamaFileType, name)
    except ModelRefused:
        raise
    except Exception as exc:  # the reader raises many kinds for what is one thing to a user
        raise ModelRefused(f"{name}: its GGUF file is damaged or incomplete ({type(exc).__name__}: {exc})") from exc


def _facts(reader: Any, file_types: Any, name: str) -> GgufFacts:
    def value(key: str, default: object = None) -> Any:
        found = reader.get_field(key)
        if found is None and default is None:
            raise ValueError(f"{key} is missing")
        return default if found is None else found.contents()

    kind = value("general.architecture")
    if kind in ENCODERS:
        raise ModelRefused(f"{name}: encoder-decoder models are served from safetensors, and its GGUF file is a {kind}")
    heads = value(f"{kind}.attention.head_count")
    heads_kv = value(f"{kind}.attention.head_count_kv", heads)
    n_layers = value(f"{kind}.block_count")
    # Some architectures have a count for each layer.
    n_heads_kv = sum(heads_kv) if isinstance(heads_kv, list) else heads_kv * n_layers
    most_heads = max(heads) if isinstance(heads, list) else heads
    head_size = value(f"{kind}.embedding_length") // max(most_heads, 1)
    sizes = value(f"{kind}.attention.key_length", head_size) + value(f"{kind}.attention.value_length", head_size)
    ends = [value(f"tokenizer.ggml.{key}", -1) for key in ("eos_token_id", "eot_token_id", "eom_token_id")]
    file_type = file_types(value("general.file_type", 0)).name
    return GgufFacts(
        context_length=int(value(f"{kind}.context_length")),
        n_parameters=sum(int(tensor.n_elements) for tensor in reader.tensors),
        n_vocabulary=len(reader.get_field("tokenizer.ggml.tokens").data),
        file_type=file_type.removeprefix("ALL_").removeprefix("MOSTLY_").lower(),
        cache_bytes_per_token=int(n_heads_kv * sizes * CACHE_BYTES_PER_NUMBER),
        end_ids=frozenset(int(token) for token in ends if token >= 0),
    )


def load_tokenizer(path: Path, name: str) -> Any:
    """The tokenizer beside the file if there is one, else the one inside. Raises: ModelRefused."""
    from transformers import AutoTokenizer

    inside: dict[str, str] = {} if (path.parent / "tokenizer_config.json").is_file() else {"gguf_file": path.name}
    try:
        return AutoTokenizer.from_pretrained(path.parent, trust_remote_code=False, local_files_only=True, **inside)
    except Exception as exc:  # transformers raises many kinds for what is one thing to a user
        raise ModelRefused(
            f"{name}: transformers cannot read the tokenizer of its GGUF file ({type(exc).__name__}); put the "
            "tokenizer's files (tokenizer.json, tokenizer_config.json) beside it"
        ) from exc


def check_tokenizer(tokenizer: Any, tokenize: Callable[[str], list[int]], name: str) -> None:
    """Refuse a tokenizer that cuts texts otherwise than the model's own (`tokenize`) does. Raises: ModelRefused."""
    for probe in PROBES:
        if tokenizer.encode(probe, add_special_tokens=False) != tokenize(probe):
            raise ModelRefused(
                f"{name}: transformers reads the tokenizer of its GGUF file otherwise than llama.cpp; put the "
                "tokenizer's files (tokenizer.json, tokenizer_config.json) of the original model beside it"
            )
