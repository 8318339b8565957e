"""Checkpoints without pickle: tensors as safetensors, everything else as JSON; written beside, then renamed.

A directory `step-000200` is complete or does not exist. Deletes nothing but its own older checkpoints.
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

_NAME = re.compile(r"step-(\d{6,})")


class CheckpointMismatch(RuntimeError):
    """The checkpoint belongs to another configuration or other data."""

    code = "training.checkpoint_mismatch"


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """What is not a tensor. `losses[i]` is the loss of step i + 1; `seconds` is the time spent in steps so far."""

    step: int
    config_hash: str
    data_hash: str
    dtype: str
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def latest_checkpoint(directory: Path) -> Path | None:
    """The complete checkpoint with the highest step."""
    found = [(int(match[1]), path) for path in _entries(directory) if (match := _NAME.fullmatch(path.name))]
    return max(found)[1] if found else None


def _entries(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def save_checkpoint(
    directory: Path,
    state: CheckpointState,
    *,
    model: nn.Module,
    optimisers: list[torch.optim.Optimizer],
    tokenizer: Tokenizer,
    keep: int,
) -> Path:
    """Write one checkpoint atomically, then drop all but the newest `keep`."""
    target = directory / f"step-{state.step:06d}"
    partial = directory / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_model_tensors(model), partial / "model.safetensors")
    save_file(_optimiser_tensors(optimisers), partial / "optimiser.safetensors")
    tokenizer.save(str(partial / "tokenizer.json"))
    (partial / "state.json").write_text(json.dumps(asdict(state)))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _prune(directory, keep)
    return target


def _prune(directory: Path, keep: int) -> None:
    steps = sorted(path for path in _entries(directory) if _NAME.fullmatch(path.name))
    for path in steps[:-keep]:
        shutil.rmtree(path)


def load_state(checkpoint: Path) -> CheckpointState:
    return CheckpointState(**json.loads((checkpoint / "state.json").read_text()))


def load_tensors(checkpoint: Path, *, model: nn.Module, optimisers: list[torch.optim.Optimizer]) -> None:
    """Put weights and optimiser state back in place."""
    weights = load_file(checkpoint / "model.safetensors")
    parameters = dict(model.named_parameters())
    if weights.keys() != parameters.keys():
        raise CheckpointMismatch(f"{checkpoint} holds other parameters than this model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    stored = load_file(checkpoint / "optimiser.safetensors")
    for index, optimiser in enumerate(optimisers):
        _restore(optimiser, {k.split("/", 1)[1]: v for k, v in stored.items() if k.startswith(f"{index}/")})


def _model_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    # `named_parameters` names tied weights once, which is what safetensors wants.
    return {name: p.detach().contiguous() for name, p in model.named_parameters()}


def _optimiser_tensors(optimisers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    tensors = {}
    for index, optimiser in enumerate(optimisers):
        for number, entries in optimiser.state_dict()["state"].items():
            for name, value in entries.items():
                tensors[f"{index}/{number}/{name}"] = torch.as_tensor(value).contiguous()
    return tensors


def _restore(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = tensor
    # Groups (rates, decay) come from the configuration, which the hash guarantees to be the same.
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
