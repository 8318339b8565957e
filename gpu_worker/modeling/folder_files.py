"""What transformers reads of a model's folder: config, tokenizer and weights. Each failure is a refusal in words.

Remote code is off and only safetensors are read. What is made of them is the business of `loading` and `embedding`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import torch

from gpu_worker.modeling.memory import StoredTensor, device_free_bytes
from gpu_worker.modeling.source import ModelFolder, ModelRefused, ModelSpec

OnProgress = Callable[[float], None]


def read_config(folder: ModelFolder, name: str) -> Any:
    """The config as transformers reads it. Raises: ModelRefused."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder.path, trust_remote_code=False, local_files_only=True)
    except Exception as exc:  # transformers raises many kinds for what is one thing to a user
        raise ModelRefused(f"{name}: its config.json describes no model ({one_line(exc, folder)})") from exc


def load_tokenizer(folder: ModelFolder, name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False, local_files_only=True)
    except Exception as exc:  # transformers raises many kinds for what is one thing to a user
        raise ModelRefused(f"{name}: it has no tokenizer that can be loaded ({one_line(exc, folder)})") from exc


def stored_tensors(folder: ModelFolder, name: str) -> list[StoredTensor]:
    from safetensors import SafetensorError, safe_open

    tensors = []
    for path in folder.weight_files:
        try:
            with safe_open(path, framework="pt") as weights:
                for key in weights.keys():  # noqa: SIM118 - not a dict
                    tensors.append(StoredTensor(key, tuple(weights.get_slice(key).get_shape())))
        except SafetensorError as exc:
            raise ModelRefused(f"{name}: its weight file {path.name} is damaged or incomplete ({exc})") from exc
    return tensors


def load_weights(
    auto: Any,
    folder: ModelFolder,
    spec: ModelSpec,
    dtype: torch.dtype | Literal["auto"],
    devices: Sequence[torch.device],
    *,
    unused: str = "",
) -> Any:
    """On `devices`; one that is to be quantised stays on the CPU, so that the device never holds all of it.

    `auto`: the class of transformers that loads it. `dtype`: `"auto"` for that in which it is stored. `unused`: weights
    that begin so may be missing. Raises: ModelRefused.
    """
    name = spec.name
    try:
        loaded: Any = auto.from_pretrained(
            folder.path,
            dtype=dtype,
            **(_placement(devices) if spec.quantisation is None else {}),
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (torch.OutOfMemoryError, MemoryError) as exc:
        raise ModelRefused(f"{name}: it does not fit into the memory of {' and '.join(map(str, devices))}") from exc
    except Exception as exc:  # transformers raises many kinds for what is one thing to a user
        raise ModelRefused(f"{name}: it cannot be loaded ({one_line(exc, folder)})") from exc
    model, info = loaded
    # transformers fills what is missing with random numbers and only warns: the model would babble.
    for kind in ("missing_keys", "mismatched_keys"):
        lacking = sorted(key for key in map(str, info.get(kind) or ()) if not unused or not key.startswith(unused))
        if lacking:
            raise ModelRefused(f"{name}: {len(lacking)} of its weights are missing or misshapen, such as {lacking[0]}")
    return model.eval()


def _placement(devices: Sequence[torch.device]) -> dict[str, Any]:
    """What tells transformers where the weights go. Over several devices it is accelerate that divides the layers,
    about evenly, and that moves what passes from one to the next.

    Source: accelerate 1.15, "Big Model Inference", `max_memory`.
    """
    if devices[0].type == "cpu":
        return {}
    if len(devices) == 1:
        return {"device_map": {"": devices[0]}}
    return {"device_map": "auto", "max_memory": {device.index: device_free_bytes(device) for device in devices}}


def one_line(exc: Exception, folder: ModelFolder) -> str:
    words = " ".join(str(exc).split()) or type(exc).__name__
    return words.replace(str(folder.path), "its folder")[:300]


class Progress:
    """Hears transformers' own progress bar for the weights and draws none. One at a time per process."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._before = logging.set_tqdm_hook(self._watch)

    def __exit__(self, *exc: object) -> None:
        from transformers.utils import logging

        logging.set_tqdm_hook(self._before)

    def _watch(self, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not args or kwargs.get("desc") != "Loading weights":
            return factory(*args, **{**kwargs, "disable": True})
        return self._counted(args[0])

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        known = list(items)
        for n_done, item in enumerate(known):
            self._on_progress(n_done / len(known))
            yield item
        self._on_progress(1.0)
