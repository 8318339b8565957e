"""What charts show, and that what is drawn can go into a page."""

from dataclasses import replace
from datetime import date
from xml.etree import ElementTree

import pytest

from apps.core.charts import marks
from apps.core.charts.drawing import UnsafeDrawing, draw
from apps.leaderboard.charts.figures import MAX_LINES, MAX_ROWS, MAX_SQUARE, figures
from apps.leaderboard.charts.kinds import NOTES, TITLES, Figure, Kind, Met, Past, Shown, Told

HOSTILE = """<script>alert(1)</script> & "x" style='y'"""


def shown(key: str, rating: float, *, rank: int = 1, price: float | None = None, speed: float | None = None) -> Shown:
    return Shown(key, key.upper(), rating, rating - 10, rating + 10, rank, 7, price, speed)


TOLD = Told(
    models=(
        shown("ant", 1200.0, price=2.0, speed=30.0),
        shown("bug", 1000.0, rank=2, price=0.0),
        shown("cow", 800.0, rank=3, speed=5.5),
    ),
    met=(Met("ant", "bug", 3, 1, 2), Met("bug", "cow", 0, 0, 4)),
    past=(
        Past("ant", date(2026, 11, 1), 1100.0, 1050.0, 1150.0),
        Past("ant", date(2026, 11, 3), 1200.0, 1190.0, 1210.0),
        Past("bug", date(2026, 11, 3), 1000.0, 990.0, 1010.0),
    ),
)


def figure(kind: Kind, told: Told = TOLD) -> Figure:
    return next(found for found in figures(told) if found.kind is kind)


def test_every_chart_has_a_title_a_note_and_a_sentence() -> None:
    found = figures(TOLD)
    assert [one.kind for one in found] == list(Kind)
    assert all(one.summary.endswith(".") for one in found)
    assert set(TITLES) == set(NOTES) == set(Kind)


def test_of_decided_battles_each_of_two_has_its_share() -> None:
    wins = figure(Kind.WINS)
    assert list(wins.rows) == [("ANT", "BUG", 0.75, 4), ("BUG", "ANT", 0.25, 4)]
    assert wins.cells == (("ANT", "–", "75%", "–"), ("BUG", "25%", "–", "–"), ("COW", "–", "–", "–"))


def test_battles_are_counted_with_ties() -> None:
    assert figure(Kind.COUNTS).rows == (("ANT", "BUG", 6, 2), ("BUG", "COW", 4, 4))


def test_predictions_follow_the_ratings() -> None:
    predicted = {(a, b): rate for a, b, rate in figure(Kind.PREDICTED).rows}
    # 200 points are odds of 10 ** 0.5, and 400 of ten to one.
    assert predicted["ANT", "BUG"] == pytest.approx(0.759747, abs=1e-6)
    assert predicted["ANT", "COW"] == pytest.approx(10 / 11)
    assert predicted["COW", "ANT"] == pytest.approx(1 / 11)
    average = {name: rate for name, rate in figure(Kind.AVERAGE).rows}  # noqa: C416  # mypy knows no dict() of these
    assert average["ANT"] == pytest.approx((0.759747 + 10 / 11) / 2, abs=1e-6)
    assert average["BUG"] == pytest.approx(0.5)


def test_a_history_has_a_row_for_each_day_the_newest_first() -> None:
    history = figure(Kind.HISTORY)
    assert history.head == ("Day", "ANT", "BUG", "COW")
    assert history.cells == (("2026-11-03", "1200", "1000", "–"), ("2026-11-01", "1100", "–", "–"))
    assert history.rows[0] == ("ANT", "2026-11-01", 1100.0, 1050.0, 1150.0)


def test_models_without_a_price_or_speed_are_not_in_that_chart() -> None:
    assert [row[:2] for row in figure(Kind.PRICE).rows] == [("ANT", 2.0), ("BUG", 0.0)]
    assert [row[:2] for row in figure(Kind.SPEED).rows] == [("ANT", 30.0), ("COW", 5.5)]


def test_what_has_no_numbers_is_no_chart() -> None:
    assert figures(Told((), (), ())) == []
    one_day = replace(TOLD, met=(), past=TOLD.past[1:], models=tuple(replace(m, price=0.0) for m in TOLD.models))
    kinds = {found.kind for found in figures(one_day)}
    assert kinds == {Kind.INTERVALS, Kind.AVERAGE, Kind.PREDICTED, Kind.SPEED}


def test_a_chart_has_its_first_models_and_its_file_all() -> None:
    models = tuple(shown(f"m{i:03}", 2000.0 - i) for i in range(70))
    days = (date(2026, 11, 1), date(2026, 11, 2))
    told = Told(models, (), tuple(Past(m.key, day, m.rating, m.lower, m.upper) for m in models for day in days))
    intervals, predicted, history = (figure(kind, told) for kind in (Kind.INTERVALS, Kind.PREDICTED, Kind.HISTORY))
    assert (len(intervals.cells), len(intervals.rows)) == (MAX_ROWS, 70)
    assert (len(predicted.cells), len(predicted.rows)) == (MAX_SQUARE, 70 * 69)
    assert (len(history.head), len(history.rows)) == (1 + MAX_LINES, 140)


@pytest.mark.parametrize("kind", Kind)
def test_a_drawing_can_go_into_a_page_whatever_models_are_called(kind: Kind) -> None:
    hostile = replace(TOLD, models=tuple(replace(m, name=f"{m.name} {HOSTILE}") for m in TOLD.models))
    svg = draw(figure(kind, hostile).spec)
    root = ElementTree.fromstring(svg)  # noqa: S314  # made here
    assert "<script" not in svg
    assert not any("style" in element.attrib for element in root.iter())
    assert "graphics-symbol" not in svg
    assert "aria-label" not in svg
    texts = "".join(root.itertext())
    assert "ANT <script>" in texts
    colours = {value for element in root.iter() for name, value in element.attrib.items() if name in ("fill", "stroke")}
    assert {colour for colour in colours if not colour.startswith("var(--")} <= {"none", "transparent"}


def test_a_drawing_that_brings_more_than_shapes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for svg in (
        '<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><path style="fill:red"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><path onclick="x()"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink"><path x:href="/"/></svg>',
    ):
        monkeypatch.setattr("vl_convert.vegalite_to_svg", lambda *_, svg=svg, **__: svg)
        with pytest.raises(UnsafeDrawing):
            draw({})


def test_a_number_that_json_does_not_know_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        draw(marks.bars([{"name": "ant", "rate": float("nan")}], "rate", "Rate", ".0%"))


def test_a_chart_may_not_fetch_anything() -> None:
    spec = marks.bars([], "rate", "Rate", ".0%") | {"data": {"url": "http://127.0.0.1:9/data.json"}}
    with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
        draw(spec)


def test_what_xml_cannot_hold_is_spelled_out() -> None:
    names = [f"a{char}b" for char in "\x01\x1b\x1f\ufffe\uffff\ud800"]
    records = [{"name": name, "rating": 1.0, "lower": 0.0, "upper": 2.0} for name in names]
    svg = ElementTree.fromstring(draw(marks.intervals(records, "Rating")))  # noqa: S314  # drawn a moment ago
    texts = list(svg.itertext())
    assert [text for text in texts if text[:1] == "a"] == [
        r"a\x01b", r"a\x1bb", r"a\x1fb", r"a\ufffeb", r"a\uffffb", r"a\ud800b",
    ]  # fmt: skip
