"""What a person sees while a model trains: a bar on a terminal, plain lines in a log, and a curve at the end.

Reads no database; draws what it is told.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TextIO, assert_never

from gpu_worker.training import messages

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR_WIDTH = 30
_LINE_EVERY_S = 10.0


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """A curve in one line of text: `width` means of neighbouring values, lowest to highest; empty for no values."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [len(values) * i // width for i in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


@dataclass(slots=True)
class Progress:
    """Shows one run on `stream`; keeps the losses for the curve."""

    stream: TextIO
    is_terminal: bool
    total_steps: int = 0
    losses: list[float] = field(default_factory=list)
    _drawn_at: float = float("-inf")
    _bar_is_open: bool = False

    def show(self, message: messages.Message) -> None:
        match message:
            case messages.Preparing():
                self._line(f"{message.what[:1].upper()}{message.what[1:]} ...")
            case messages.Noted():
                self._line(message.what)
            case messages.Started():
                self.total_steps = message.total_steps
                self._line(_start_words(message))
            case messages.StepDone():
                self.losses.append(message.loss)
                self._step(message)
            case messages.CheckpointSaved():
                if not self.is_terminal:
                    self._line(f"Checkpoint {message.path}")
            case messages.Evaluated():
                parts = [f"{task} {accuracy:.1%}" for task, accuracy in message.accuracy.items()]
                self._line(f"Held-out accuracy: {', '.join(parts)}")
            case messages.Stopped():
                self._line(f"Stopped after step {message.step}; a checkpoint was saved. Continue with --resume.")
            case messages.Finished():
                self._line(f"Done after step {message.step}: {message.directory}")
            case messages.Failed():
                self._line(f"Failed: {message.message}")
            case _:
                assert_never(message)

    def curve(self) -> str:
        """The loss over all steps seen, with its first and last value."""
        if not self.losses:
            return ""
        return f"Loss {self.losses[0]:.3f} {sparkline(self.losses)} {self.losses[-1]:.3f}"

    def _step(self, message: messages.StepDone) -> None:
        is_last = message.step >= self.total_steps
        now = time.monotonic()
        if not is_last and now - self._drawn_at < (0.1 if self.is_terminal else _LINE_EVERY_S):
            return
        self._drawn_at = now
        words = f"step {message.step}/{self.total_steps}  loss {message.loss:.4f}  {message.tokens_per_s:,.0f} tokens/s"
        if not self.is_terminal:
            self._line(words)
            return
        done = round(_BAR_WIDTH * message.step / max(1, self.total_steps))
        self.stream.write(f"\r\x1b[K[{'█' * done}{'░' * (_BAR_WIDTH - done)}] {words}")
        self.stream.flush()
        self._bar_is_open = True

    def _line(self, words: str) -> None:
        self.stream.write(("\n" if self._bar_is_open else "") + words + "\n")
        self.stream.flush()
        self._bar_is_open = False


def _start_words(message: messages.Started) -> str:
    size = f"{message.n_parameters:,} parameters, {message.n_training_tokens:,} tokens"
    start = f"Continuing at step {message.first_step}" if message.first_step > 1 else "Training"
    return f"{start}: {size}, {message.device}, {message.dtype}"
