"""Special tokens that mark tool calls: shown where calls are read, hidden everywhere else. No torch."""

from collections.abc import Collection, Sequence
from typing import Any

from gpu_worker.engine.detokenize import Decode
from gpu_worker.tools.formats import ToolFormat


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that decoding leaves out."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return frozenset(tokenizer.all_special_ids) | {int(i) for i, token in added.items() if token.special}


def hidden_ids(tokenizer: Any, shown: Collection[str]) -> frozenset[int]:
    """Special tokens but those whose text is in `shown`."""
    return frozenset(i for i in special_ids(tokenizer) if tokenizer.convert_ids_to_tokens(i) not in shown)


def marker_ids(tokenizer: Any, tool_format: ToolFormat | None) -> frozenset[int]:
    """Special tokens that mark calls of this format."""
    return frozenset() if tool_format is None else special_ids(tokenizer) - hidden_ids(tokenizer, tool_format.markers)


def decode_with(tokenizer: Any, shown: Collection[str]) -> Decode:
    """Turns token ids into text that keeps the special tokens in `shown` and no other."""
    hidden = hidden_ids(tokenizer, shown)
    backend = getattr(tokenizer, "backend_tokenizer", None)

    def decode(ids: Sequence[int]) -> str:
        visible = [i for i in ids if i not in hidden]
        if backend is not None:
            return str(backend.decode(visible, skip_special_tokens=False))
        return str(tokenizer.decode(visible, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    return decode
