"""What the server asks of an engine, whoever computes: ours in torch, or a child server that speaks HTTP.

An engine takes prompts as token ids and gives text: rendering, counting, events and errors are the server's, and the
same for all of them.
"""

from enum import StrEnum
from typing import Protocol

from gpu_worker.engine.request import Request


class EngineKind(StrEnum):
    """The engines that there are."""

    TORCH = "torch"
    LLAMACPP = "llamacpp"
    VLLM = "vllm"


class TextEngine(Protocol):
    """One model's engine. Each method but `close` returns at once and may be called from any thread.

    What comes of a request arrives in `StepReport`s at the `deliver` that the engine was made with, from a thread of
    the engine; the last output of each says why it ended.
    """

    @property
    def n_requests(self) -> int:
        """Running and waiting."""

    def submit(self, *requests: Request) -> None:
        """Queue all of them or none.

        Raises: WorkerError: unsupported_parameter, naming what this engine cannot do; overloaded, model_loading,
        shutting_down.
        """

    def cancel(self, *request_ids: str) -> None:
        """End requests before their next token. Unknown ids are left alone."""

    def close(self, timeout_s: float) -> bool:
        """End what is left with `shutting_down` and stop. Blocks; False if it does not stop in time."""
