"""What each chart of a board shows: its numbers, its table, one sentence about it, and how it is drawn. Pure."""

from collections.abc import Callable, Mapping, Sequence

from apps.core.charts import marks
from apps.leaderboard.charts.kinds import TITLES, Cell, Figure, Kind, Shown, Told
from apps.leaderboard.rating.elo import elo_expected

MAX_ROWS = 60
"""Models in a chart of rows, the first ones of the board; the files have all of them."""
MAX_SQUARE = 25
"""Models in a chart of pairs."""
MAX_LINES = marks.N_COLOURS
MAX_DAYS_SHOWN = 60
"""In the table of a history, the newest ones."""


def figures(told: Told) -> list[Figure]:
    """All for which there are numbers."""
    made = [make(told) for make in _MAKERS]
    return [figure for figure in made if figure is not None]


def _intervals(told: Told) -> Figure | None:
    if not told.models:
        return None
    shown = told.models[:MAX_ROWS]
    records = [{"name": m.name, "rating": m.rating, "lower": m.lower, "upper": m.upper} for m in shown]
    best, last = shown[0], shown[-1]
    return Figure(
        Kind.INTERVALS,
        f"{len(shown)} models by rating, from {best.name} with {best.rating:.0f} "
        f"to {last.name} with {last.rating:.0f}.",
        ("Model", "Rank", "Rating", "Lower", "Upper", "Votes"),
        tuple(
            (m.name, f"{m.rank}", f"{m.rating:.1f}", f"{m.lower:.1f}", f"{m.upper:.1f}", f"{m.votes}") for m in shown
        ),
        ("model", "rank", "rating", "lower", "upper", "votes"),
        tuple((m.name, m.rank, m.rating, m.lower, m.upper, m.votes) for m in told.models),
        marks.intervals(records, "Rating"),
    )


def _average(told: Told) -> Figure | None:
    if len(told.models) < 2:
        return None
    rates = {
        m.key: sum(_predicted(m, other) for other in told.models if other is not m) / (len(told.models) - 1)
        for m in told.models
    }
    shown = told.models[:MAX_ROWS]
    records = [{"name": m.name, "rate": rates[m.key]} for m in shown]
    return Figure(
        Kind.AVERAGE,
        f"{shown[0].name} is expected to get {rates[shown[0].key]:.0%} of its battles, "
        f"{shown[-1].name} {rates[shown[-1].key]:.0%}.",
        ("Model", "Average win rate"),
        tuple((m.name, f"{rates[m.key]:.1%}") for m in shown),
        ("model", "average_win_rate"),
        tuple((m.name, rates[m.key]) for m in told.models),
        marks.bars(records, "rate", "Average win rate", ".0%"),
    )


def _wins(told: Told) -> Figure | None:
    decided: dict[tuple[str, str], tuple[float, int]] = {}
    for met in told.met:
        n = met.won + met.lost
        if n:
            decided[met.first, met.second] = met.won / n, n
            decided[met.second, met.first] = met.lost / n, n
    square = {pair: share for pair, (share, _) in decided.items()}
    rows = [
        (a.name, b.name, *decided[a.key, b.key]) for a in told.models for b in told.models if (a.key, b.key) in decided
    ]
    return _square(
        told, Kind.WINS, square, rows, columns=("model", "opponent", "won", "decided_battles"), form=".0%", top=1.0
    )


def _predicted_rates(told: Told) -> Figure | None:
    square = {(a.key, b.key): _predicted(a, b) for a in told.models for b in told.models if a is not b}
    rows = [(a.name, b.name, square[a.key, b.key]) for a in told.models for b in told.models if a is not b]
    return _square(told, Kind.PREDICTED, square, rows, columns=("model", "opponent", "predicted"), form=".0%", top=1.0)


def _counts(told: Told) -> Figure | None:
    square: dict[tuple[str, str], float] = {}
    for met in told.met:
        square[met.first, met.second] = square[met.second, met.first] = met.won + met.lost + met.tied
    tied = {frozenset((met.first, met.second)): met.tied for met in told.met}
    rows = [
        (a.name, b.name, int(square[a.key, b.key]), tied[frozenset((a.key, b.key))])
        for i, a in enumerate(told.models)
        for b in told.models[i + 1 :]
        if (a.key, b.key) in square
    ]
    columns = ("model", "opponent", "battles", "of_them_tied")
    return _square(told, Kind.COUNTS, square, rows, columns=columns, form=",.0f", top=max(square.values(), default=1))


def _square(
    told: Told,
    kind: Kind,
    square: Mapping[tuple[str, str], float],
    rows: Sequence[tuple[Cell, ...]],
    *,
    columns: tuple[str, ...],
    form: str,
    top: float,
) -> Figure | None:
    """A chart of pairs. The colour of shares begins at one half, that of counts at none."""
    if not rows:
        return None
    shown = told.models[:MAX_SQUARE]
    records = [
        {"name": a.name, "opponent": b.name, "value": square.get((a.key, b.key))}
        for a in shown
        for b in shown
        if a is not b
    ]
    is_share = form.endswith("%")
    written = (lambda value: f"{value:.0%}") if is_share else (lambda value: f"{value:.0f}")
    return Figure(
        kind,
        f"A square of {len(shown)} models against each other: {TITLES[kind].lower()}.",
        ("Model", *(m.name for m in shown)),
        tuple((a.name, *(_written(square.get((a.key, b.key)), written) for b in shown)) for a in shown),
        columns,
        tuple(rows),
        marks.matrix(records, form, middle=0.5 if is_share else 0.0, top=top),
    )


def _history(told: Told) -> Figure | None:
    days = sorted({past.day for past in told.past})
    if len(days) < 2:
        return None
    names = {m.key: m.name for m in told.models}
    ratings = {(past.key, past.day): past.rating for past in told.past}
    shown = told.models[:MAX_LINES]
    records = [
        {"name": names[past.key], "day": past.day.isoformat(), "value": past.rating}
        for past in told.past
        if past.key in {m.key for m in shown}
    ]
    return Figure(
        Kind.HISTORY,
        f"The ratings of the first {len(shown)} models from {days[0]:%-d %b %Y} to {days[-1]:%-d %b %Y}.",
        ("Day", *(m.name for m in shown)),
        tuple(
            (day.isoformat(), *(_written(ratings.get((m.key, day)), lambda value: f"{value:.0f}") for m in shown))
            for day in reversed(days[-MAX_DAYS_SHOWN:])
        ),
        ("model", "day", "rating", "lower", "upper"),
        tuple((names[p.key], p.day.isoformat(), p.rating, p.lower, p.upper) for p in told.past if p.key in names),
        marks.lines(records, [m.name for m in shown], "Rating"),
    )


def _price(told: Told) -> Figure | None:
    known = [(m, m.price) for m in told.models if m.price is not None]
    if not any(price for _, price in known):
        return None  # nobody has told a price
    return _scatter(Kind.PRICE, known, "price", "Price of a million tokens of answers")


def _speed(told: Told) -> Figure | None:
    known = [(m, m.tokens_per_s) for m in told.models if m.tokens_per_s is not None]
    return _scatter(Kind.SPEED, known, "tokens_per_s", "Tokens in a second")


def _scatter(kind: Kind, known: Sequence[tuple[Shown, float]], field: str, title: str) -> Figure | None:
    if not known:
        return None
    records = [
        {"name": m.name, field: value, "rating": m.rating, "lower": m.lower, "upper": m.upper}
        for m, value in known[:MAX_ROWS]
    ]
    return Figure(
        kind,
        f"{min(len(known), MAX_ROWS)} models: {title.lower()} to the right, rating upward.",
        ("Model", title, "Rating", "Lower", "Upper"),
        tuple((m.name, f"{value:g}", *_rated(m)) for m, value in known[:MAX_ROWS]),
        ("model", field, "rating", "lower", "upper"),
        tuple((m.name, value, m.rating, m.lower, m.upper) for m, value in known),
        marks.points(records, field, title, "Rating"),
    )


def _predicted(one: Shown, other: Shown) -> float:
    return elo_expected(one.rating, other.rating)


def _rated(model: Shown) -> tuple[str, str, str]:
    return f"{model.rating:.1f}", f"{model.lower:.1f}", f"{model.upper:.1f}"


def _written(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)


_MAKERS = (_intervals, _average, _wins, _predicted_rates, _counts, _history, _price, _speed)
