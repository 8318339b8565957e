"""The training loop: plan, pack, step, report, checkpoint. Writes no model directory (see `export`)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from gpu_worker.training import messages
from gpu_worker.training.checkpoints import (
    CheckpointMismatch,
    CheckpointState,
    load_state,
    load_tensors,
    save_checkpoint,
)
from gpu_worker.training.config import TrainingConfig
from gpu_worker.training.data import TrainingData
from gpu_worker.training.modeling import build_model, choose_dtype
from gpu_worker.training.optimisers import build_optimisers, learning_rate_factor, set_learning_rate
from gpu_worker.training.packing import NOT_TRAINED, PackedRows, pack, plan_steps
from gpu_worker.training.tokenizer import PAD, token_id

Report = Callable[[messages.Message], None]


@dataclass(slots=True)
class StopRequest:
    """Set by a signal handler, or when nobody reads the messages any more; looked at between two steps."""

    is_set: bool = False

    def request(self) -> None:
        self.is_set = True


@dataclass(slots=True)
class Trainer:
    """A run in memory. Not thread-safe; one per process."""

    config: TrainingConfig
    data: TrainingData
    device: torch.device
    checkpoint_directory: Path
    report: Report
    code_version: str
    stop: StopRequest = field(default_factory=StopRequest)
    step: int = field(init=False, default=0)
    losses: list[float] = field(init=False, default_factory=list)
    seconds: float = field(init=False, default=0.0)
    model: LlamaForCausalLM = field(init=False)
    optimisers: list[torch.optim.Optimizer] = field(init=False)
    dtype: torch.dtype | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.model = build_model(self.config, self.data.tokenizer, self.device)
        self.optimisers = build_optimisers(self.model, self.config.optimiser)

    def resume(self, checkpoint: Path) -> None:
        """Continue after a checkpoint of the same configuration and data, in the same precision."""
        state = load_state(checkpoint)
        if (state.config_hash, state.data_hash) != (self.config.hash, self.data.hash):
            raise CheckpointMismatch(f"{checkpoint} was written with another configuration or other data")
        load_tensors(checkpoint, model=self.model, optimisers=self.optimisers)
        self.step, self.losses, self.seconds = state.step, list(state.losses), state.seconds
        self.dtype = getattr(torch, state.dtype)

    def run(self, last_step: int) -> bool:
        """Train up to and including `last_step`; False when stopped before it. Saves a checkpoint either way."""
        steps = self._plan(last_step)
        if self.dtype is None:
            self.dtype = choose_dtype(self.config.compute.dtype, lambda dtype: self._trial(steps[0], dtype))
        self._report_start()
        while self.step < last_step and not self.stop.is_set:
            self._one_step(steps[self.step])
            if self.step % self.config.output.checkpoint_every_steps == 0 and self.step < last_step:
                self.save()
        self.save()
        return self.step >= last_step

    def save(self) -> None:
        state = CheckpointState(
            step=self.step,
            config_hash=self.config.hash,
            data_hash=self.data.hash,
            dtype=_name(self.dtype),
            seconds=self.seconds,
            losses=self.losses,
        )
        path = save_checkpoint(
            self.checkpoint_directory,
            state,
            model=self.model,
            optimisers=self.optimisers,
            tokenizer=self.data.tokenizer,
            keep=self.config.output.checkpoints_kept,
        )
        self.report(messages.CheckpointSaved(self.step, str(path)))

    def _plan(self, last_step: int) -> list[list[int]]:
        return plan_steps(
            self.data.lengths,
            tokens_per_step=self.config.data.tokens_per_step,
            n_steps=max(1, last_step),
            seed=self.config.seed,
        )

    def _report_start(self) -> None:
        self.report(
            messages.Started(
                first_step=self.step + 1,
                total_steps=self.config.schedule.steps,
                n_parameters=sum(p.numel() for p in self.model.parameters()),
                n_training_tokens=sum(self.data.lengths),
                device=self.device.type,
                dtype=_name(self.dtype),
                data_hash=self.data.hash,
                code_version=self.code_version,
            )
        )

    def _one_step(self, chosen: list[int]) -> None:
        start = time.perf_counter()
        factor = learning_rate_factor(self.step + 1, self.config.schedule)
        rate = set_learning_rate(self.optimisers, factor)
        loss = self._gradients(chosen, self.dtype or torch.float32)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimiser.gradient_clip)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(round(loss, 6))
        n_tokens = sum(len(self.data.documents[index]) for index in chosen)
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self.report(messages.StepDone(self.step, self.losses[-1], rate, round(n_tokens / seconds, 1)))

    def _gradients(self, chosen: list[int], dtype: torch.dtype) -> float:
        """Add up the gradients of all rows; the loss is the mean over the step's trained tokens."""
        documents = [self.data.documents[index] for index in chosen]
        rows = pack(
            documents,
            max_width=self.config.model.context_length,
            padding_token=token_id(self.data.tokenizer, PAD),
        )
        n_trained = max(1, sum(int((part.labels != NOT_TRAINED).sum()) for part in rows))
        total = 0.0
        for part in rows:
            loss = sum_of_losses(self.model, part, self.device, dtype) / n_trained
            loss.backward()
            total += float(loss.detach())
        return total

    def _trial(self, chosen: list[int], dtype: torch.dtype) -> None:
        self._gradients(chosen, dtype)
        self.model.zero_grad(set_to_none=True)


def sum_of_losses(model: LlamaForCausalLM, rows: PackedRows, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Cross-entropy summed over the trained tokens."""
    logits, labels = logits_and_labels(model, rows, device, dtype)
    return functional.cross_entropy(logits, labels, reduction="sum")


def logits_and_labels(
    model: LlamaForCausalLM, rows: PackedRows, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the `N` trained tokens alone: what the model makes of them `[N, V]`, and which they are `[N]`."""
    labels = torch.from_numpy(rows.labels).to(device)
    wanted = labels != NOT_TRAINED
    allowed = torch.from_numpy(rows.attention_mask()).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        # Additive, because plain attention adds its mask; -1e9 instead of -inf keeps padding rows finite.
        mask = torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, -1e9)
        hidden = model.model(
            input_ids=torch.from_numpy(rows.tokens).to(device),
            position_ids=torch.from_numpy(rows.positions).to(device),
            attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        logits = model.lm_head(hidden[wanted])
    return logits.float(), labels[wanted]


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype or torch.float32).removeprefix("torch.")
