"""The charts that there are, and what they are made of. Pure."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from apps.core.charts import marks

Cell = str | float | None


class Kind(StrEnum):
    """The charts of a board, as their addresses name them."""

    INTERVALS = "intervals"
    AVERAGE = "average"
    WINS = "wins"
    PREDICTED = "predicted"
    COUNTS = "counts"
    HISTORY = "history"
    PRICE = "price"
    SPEED = "speed"


TITLES = {
    Kind.INTERVALS: "Ratings and intervals",
    Kind.AVERAGE: "Average win rate",
    Kind.WINS: "Share of battles won",
    Kind.PREDICTED: "Predicted win rate",
    Kind.COUNTS: "Number of battles",
    Kind.HISTORY: "Rating over time",
    Kind.PRICE: "Quality and price",
    Kind.SPEED: "Quality and speed",
}
NOTES = {
    Kind.INTERVALS: "The rating of each model, and the range in which it is by the confidence of the board.",
    Kind.AVERAGE: "What a model is expected to get of a battle with each other one, all of them counted alike. "
    "A tie is half a win.",
    Kind.WINS: "Which part of the decided battles with the model above the column was won by the model of the row. "
    "Ties are left out.",
    Kind.PREDICTED: "What the model of the row is expected to get of a battle with the model above the column, by "
    "both ratings. A tie is half a win.",
    Kind.COUNTS: "How often each two have met in battles that count.",
    Kind.HISTORY: "The rating of each day that had a board, by its last one.",
    Kind.PRICE: "Rating, and what a million tokens of answers cost by the catalog. The scale of prices is nearly "
    "logarithmic.",
    Kind.SPEED: "Rating, and the median of tokens in a second within the arena’s own battles of the last 30 days. It "
    "depends on the machines as much as on the model. The scale of speeds is nearly logarithmic.",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A rated model of the board. `key` is its name in battles, `name` what people read; no two have one."""

    key: str
    name: str
    rating: float
    lower: float
    upper: float
    rank: int
    votes: int
    price: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """Two that have met, by key, and how their battles ended."""

    first: str
    second: str
    won: int
    lost: int
    tied: int


@dataclass(frozen=True, slots=True)
class Past:
    """The rating of one day."""

    key: str
    day: date
    rating: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody may see of a board, the models in its order."""

    models: tuple[Shown, ...]
    met: tuple[Met, ...]
    past: tuple[Past, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart. `columns` and `rows` are for files and have everything; `head` and `cells` are for people."""

    kind: Kind
    summary: str
    head: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    spec: marks.Spec
