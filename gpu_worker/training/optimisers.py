"""Optimisers and the learning rate over time. One list of optimisers, stepped together.

Muon changes the matrices inside the blocks, AdamW the embeddings and the norms.
Source: Jordan et al. (2024), Muon, https://kellerjordan.github.io/posts/muon/.
"""

import math

import torch
from torch import nn

from gpu_worker.training.config import OptimiserName, OptimiserSection, ScheduleKind, ScheduleSection

_ADAM_BETAS = (0.9, 0.95)


def build_optimisers(model: nn.Module, section: OptimiserSection) -> list[torch.optim.Optimizer]:
    """Peak rates are stored in each group as `peak_lr`; `set_learning_rate` scales them."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    blocks = [p for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
    known = {id(p) for p in blocks}
    rest = [p for _, p in named if id(p) not in known]
    optimisers: list[torch.optim.Optimizer] = []
    match section.name:
        case OptimiserName.MUON:
            optimisers.append(_muon(blocks, section))
            adam_groups = [{"params": rest, "weight_decay": 0.0}]
        case OptimiserName.ADAMW:
            adam_groups = [
                {"params": blocks, "weight_decay": section.weight_decay},
                {"params": rest, "weight_decay": 0.0},
            ]
    optimisers.append(torch.optim.AdamW(adam_groups, lr=section.learning_rate, betas=_ADAM_BETAS))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return optimisers


def _muon(matrices: list[nn.Parameter], section: OptimiserSection) -> torch.optim.Optimizer:
    return torch.optim.Muon(matrices, lr=section.muon_learning_rate, weight_decay=section.weight_decay, momentum=0.95)


def learning_rate_factor(step: int, schedule: ScheduleSection) -> float:
    """Between 0 and 1 for step 1..steps: a linear rise, then the configured fall to `final_fraction`."""
    if step <= schedule.warmup_steps:
        return step / (schedule.warmup_steps + 1)
    span = max(1, schedule.steps - schedule.warmup_steps)
    progress = min(1.0, (step - schedule.warmup_steps) / span)
    match schedule.kind:
        case ScheduleKind.CONSTANT:
            return 1.0
        case ScheduleKind.LINEAR:
            height = 1 - progress
        case ScheduleKind.COSINE:
            height = (1 + math.cos(math.pi * progress)) / 2
    return schedule.final_fraction + (1 - schedule.final_fraction) * height


def set_learning_rate(optimisers: list[torch.optim.Optimizer], factor: float) -> float:
    """Scale every group; returns AdamW's rate, which is the one people compare."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor
    return float(optimisers[-1].param_groups[0]["lr"])
