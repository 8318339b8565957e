"""`python -m gpu_worker embed-texts MODEL`: vectors of texts, for comparing them.

Answers a list of texts with the size of a vector and, for each text, its vectors of length 1 as float32 in base64: one
for each window of what the model reads at once, so that no part of a long text is left out.
"""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_worker.annotation.lines import serve_lines

if TYPE_CHECKING:
    from gpu_worker.modeling.embedding import LoadedEmbedder

MAX_BATCH_TOKENS = 4096
"""Padding included, as `gpu_worker.engine.embedding` has it."""


def main(argv: list[str]) -> int:
    return serve_lines(argv, "embed-texts", load, answer)


def load(folder: Path) -> "LoadedEmbedder":
    """Raises: ModelRefused."""
    from gpu_worker.modeling.device import choose_devices
    from gpu_worker.modeling.embedding import load_embedder
    from gpu_worker.modeling.loading import LoadOptions
    from gpu_worker.modeling.source import ModelRefused, ModelSpec

    options = LoadOptions(choose_devices("cpu"), dtype="float32")
    loaded = load_embedder(ModelSpec(str(folder), folder.name), options, lambda share: None)
    if not loaded.tokenizer.is_fast:
        raise ModelRefused(f"{folder.name}: its tokenizer cannot cut long texts into windows")
    return loaded


def answer(loaded: "LoadedEmbedder", texts: list[str]) -> dict[str, object]:
    from torch.nn.functional import normalize

    owners, windows = _windows(loaded, texts)
    parts: list[list[bytes]] = [[] for _ in texts]
    for batch in _batches(windows):
        vectors = normalize(loaded.embed([windows[place] for place in batch]), dim=-1)
        for place, vector in zip(batch, vectors, strict=True):
            parts[owners[place]].append(vector.numpy().astype("<f4").tobytes())
    return {"size": loaded.size, "vectors": [b64encode(b"".join(part)).decode() for part in parts]}


def _windows(loaded: "LoadedEmbedder", texts: list[str]) -> tuple[list[int], list[list[int]]]:
    """Token ids, and of which text each window is. A text without a token has none."""
    if not texts:
        return [], []
    cut = loaded.tokenizer(
        [loaded.settings.prefix + text for text in texts],
        truncation=True,
        max_length=loaded.context_length,
        return_overflowing_tokens=True,
    )
    found = [
        (owner, ids) for owner, ids in zip(cut["overflow_to_sample_mapping"], cut["input_ids"], strict=True) if ids
    ]
    return [owner for owner, _ in found], [ids for _, ids in found]


def _batches(windows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of windows, in their order: which are together depends on these texts alone."""
    batches: list[list[int]] = []
    longest = 0
    for place, window in enumerate(windows):
        longest = max(longest, len(window))
        if not batches or longest * (len(batches[-1]) + 1) > MAX_BATCH_TOKENS:
            batches.append([])
            longest = len(window)
        batches[-1].append(place)
    return batches
