"""How a model's makers want it sampled when a request does not say: its generation_config.json.

Only what `do_sample` turns on is read. Lengths are not: an answer may fill the context, as OpenAI's does.
Source: transformers GenerationConfig; vLLM treats the file in the same way.
"""

import json
from pathlib import Path
from typing import Any

from gpu_worker.engine.request import SamplingParams
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.source import ModelRefused

NAMES = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def sampling_defaults(folder: Path, name: str) -> dict[str, Any]:
    """Values by the names of `SamplingParams`; empty without such a file. Raises: ModelRefused."""
    path = folder / "generation_config.json"
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_text())
        if not config.get("do_sample"):
            return {}
        defaults = {key: config[key] for key in NAMES if config.get(key) is not None}
        SamplingParams(max_tokens=1, **defaults)
    except (ValueError, TypeError, AttributeError, WorkerError) as exc:
        raise ModelRefused(f"{name}: its generation_config.json cannot be used ({exc})") from exc
    return defaults
