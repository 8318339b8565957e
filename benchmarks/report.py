"""One line per figure: {"name", "value", "unit", "peer", "ratio", "target", "holds"}."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, beside the same measured on a peer in the same run, and what we aim at.

    `target` is a bound on `ratio` (value/peer) where there is a peer, else on `value`.
    """

    name: str
    value: float
    unit: str
    peer: float | None = None
    target: float | None = None
    less_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        return None if not self.peer else round(self.value / self.peer, 3)

    @property
    def holds(self) -> bool | None:
        measured = self.value if self.peer is None else self.ratio
        if self.target is None or measured is None:
            return None
        return measured <= self.target if self.less_is_better else measured >= self.target

    def line(self) -> str:
        values = asdict(self) | {"value": round(self.value, 2), "ratio": self.ratio, "holds": self.holds}
        if self.peer is not None:
            values["peer"] = round(self.peer, 2)
        del values["less_is_better"]
        return json.dumps(values)


def percentile(values: list[float], share: float) -> float:
    """Linear interpolation between the closest ranks; `share` is 0 to 1."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def shared_beginning(one: str, other: str) -> int:
    """Characters up to the first that differs."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def middle(values: list[float]) -> float:
    return float(median(values))


def peak_mib() -> float:
    """The most memory (RSS) that this program has held. Source: proc_pid_status(5), VmHWM.

    Not `getrusage`: what it tells begins with the memory of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
