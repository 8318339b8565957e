"""What the worker measures about itself, for Prometheus.

One registry per worker, so that tests and several workers in one process do not add up. It measures no text.
"""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gpu_worker.protocol import FinishReason
from gpu_worker.server.choices import Choice
from gpu_worker.server.generations import Generation

if TYPE_CHECKING:
    from gpu_worker.engine.engine import StepReport

FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The worker's counters, gauges and histograms, each with the label `model`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        model = ["model"]
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens computed", model)
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated", model)
        self.requests = self._counter("requests", "Generations that ended, by outcome", ["model", "outcome", "reason"])
        self.running = self._gauge("running", "Requests in the running batch", model)
        self.waiting = self._gauge("waiting", "Requests that wait for a place in the batch", model)
        self.batch_size = self._gauge("batch_size", "Requests that decoded together in the last step", model)
        self.first_token = self._histogram("time_to_first_token_seconds", "From arrival to first token", FIRST_TOKEN_S)
        self.inter_token = self._histogram("inter_token_seconds", "Between two tokens of one request", FAST_S)
        self.step = self._histogram("step_seconds", "Duration of one engine step", FAST_S)

    def of_model(self, name: str) -> "ModelMetrics":
        return ModelMetrics(self, name)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"fastchat_worker_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(f"fastchat_worker_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"fastchat_worker_{name}", text, ["model"], buckets=buckets, registry=self.registry)


class ModelMetrics:
    """The same for one model, with the label bound once: these are touched for every token."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._name = name
        self._requests = metrics.requests
        self._prompt_tokens = metrics.prompt_tokens.labels(name)
        self._generation_tokens = metrics.generation_tokens.labels(name)
        self._running = metrics.running.labels(name)
        self._waiting = metrics.waiting.labels(name)
        self._batch_size = metrics.batch_size.labels(name)
        self._first_token = metrics.first_token.labels(name)
        self._inter_token = metrics.inter_token.labels(name)
        self._step = metrics.step.labels(name)

    def stepped(self, report: "StepReport") -> None:
        self._prompt_tokens.inc(report.n_prompt_tokens)
        self._running.set(report.n_running)
        self._waiting.set(report.n_waiting)
        self._batch_size.set(report.n_decoded)
        if report.duration_s > 0:
            self._step.observe(report.duration_s)

    def generated(self, choice: Choice, started_at: float, n_new: int, now: float) -> None:
        """`n_new` tokens have arrived for a choice at `now` (`time.perf_counter`)."""
        self._generation_tokens.inc(n_new)
        if choice.last_token_at is None:
            self._first_token.observe(now - started_at)
        else:
            self._inter_token.observe(now - choice.last_token_at)
        choice.last_token_at = now

    def embedded(self, n_tokens: int, outcome: str, reason: str) -> None:
        """A request for vectors has ended; outcomes as of generations."""
        self._prompt_tokens.inc(n_tokens)
        self._requests.labels(self._name, outcome, reason).inc()

    def ended(self, generation: Generation, abort_reason: str | None) -> None:
        """Outcomes: finished (reason stop or length), aborted (who ended it), failed (the error's code)."""
        if generation.error is not None:
            self._requests.labels(self._name, "failed", str(generation.error.code)).inc()
        elif generation.finish_reason is FinishReason.CANCELLED:
            self._requests.labels(self._name, "aborted", abort_reason or "cancelled").inc()
        else:
            self._requests.labels(self._name, "finished", str(generation.finish_reason)).inc()
