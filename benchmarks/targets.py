"""What the worker's figures are held against, per peer, model and number of streams. Pure.

The figures of a run and their names are here too, so that every comparison prints the same ones.
"""

from benchmarks.load import Load
from benchmarks.report import Figure, middle, percentile

TOKENS = "tokens_per_s"
UNITS = {TOKENS: "tokens/s", "ttft_p50": "ms", "ttft_p95": "ms", "gap_p50": "ms", "gap_p95": "ms"}

MORE = 1.001
"""Ahead of a peer, if only by little."""

FASTCHAT = {
    ("tiny", 1): 2.0, ("tiny", 8): 10.0, ("tiny", 32): 20.0,
    ("small", 1): 2.0, ("small", 8): 4.0, ("small", 32): 7.0,
}  # fmt: skip
FASTCHAT_TTFT_P95 = {("tiny", 32): 0.25, ("small", 32): 0.25}
LLAMACPP_F32 = {("tiny", 8): 1.0, ("tiny", 32): 1.0, ("small", 1): 0.7, ("small", 8): 1.0, ("small", 32): 1.0}
SITE = 0.7
"""The share of its worker's tokens/s that the site keeps; an aim of ours, not taken from elsewhere."""


def target(peer: str, model: str, streams: int, figure: str) -> float | None:
    """The bound on the ratio to a peer; None for what is only reported."""
    match peer, figure:
        case "fastchat", "tokens_per_s":
            return FASTCHAT.get((model, streams))
        case "fastchat", "ttft_p95":
            return FASTCHAT_TTFT_P95.get((model, streams))
        case "transformers", "tokens_per_s" if model in ("tiny", "small"):
            return MORE
        case "llamacpp-f32", "tokens_per_s":
            return LLAMACPP_F32.get((model, streams))
        case "worker", "tokens_per_s":
            return SITE
    return None


def compared(name: str, own: list[Load], others: list[Load], targets: dict[str, float | None]) -> list[Figure]:
    """A figure of each kind: the medians of our runs beside the medians of a peer's."""
    ours, theirs = figures(own), figures(others)
    return [
        Figure(f"{name}.{kind}", ours[kind], unit, theirs[kind], targets.get(kind), kind != TOKENS)
        for kind, unit in UNITS.items()
    ]


def figures(loads: list[Load]) -> dict[str, float]:
    """By the names of `UNITS`: medians over runs of each run's figure."""

    def ms(values: list[list[float]], share: float) -> float:
        return 1000 * middle([percentile(one, share) for one in values])

    ttft, gaps = [load.ttft_s for load in loads], [load.gaps_s for load in loads]
    return {
        TOKENS: middle([load.tokens_per_s for load in loads]),
        "ttft_p50": ms(ttft, 0.5),
        "ttft_p95": ms(ttft, 0.95),
        "gap_p50": ms(gaps, 0.5),
        "gap_p95": ms(gaps, 0.95),
    }
