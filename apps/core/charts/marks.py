"""What charts look like, as Vega-Lite specifications. Pure.

Colours are the page's own variables, so that a chart follows the theme; none carries anything that is not also said by
place, shape or number.

Source: https://vega.github.io/vega-lite/docs/spec.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Record = Mapping[str, object]

N_COLOURS = 8
"""`--chart-1` and so on, in tokens.css."""
INK, SOFT, LINE, ACCENT, LOW = "var(--ink)", "var(--ink-soft)", "var(--line)", "var(--accent)", "var(--danger)"
STEP = 26
"""Height of a row, in pixels."""
_CELL = 36
_PADDING = {"left": 32, "right": 64, "top": 8, "bottom": 8}
"""Room for names, which the page's own font may make wider than the one that they are measured by."""
_WIDTH = 620
_HEIGHT = 360
_CONFIG: Spec = {
    "background": "transparent",
    "font": "sans-serif",
    # The page says in words what a chart shows, and has a table: nothing within is named once more.
    "aria": False,
    "mark": {"aria": False},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": SOFT,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 240,
    },
    "legend": {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "labelLimit": 240, "symbolStrokeWidth": 2},
}
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]


def intervals(records: Sequence[Record], title: str) -> Spec:
    """Records: name, rating, lower, upper. A point on a line for each, from the top in their order."""
    x = {"type": "quantitative", "scale": {"zero": False, "nice": True}, "title": title}
    layers = [
        {
            "mark": {"type": "rule", "stroke": ACCENT, "strokeWidth": 3, "opacity": 0.5},
            "encoding": {"x": x | {"field": "lower"}, "x2": {"field": "upper"}},
        },
        {
            "mark": {"type": "point", "filled": True, "fill": ACCENT, "opacity": 1, "size": 60},
            "encoding": {"x": x | {"field": "rating"}},
        },
    ]
    return _spec(records, {"encoding": {"y": _names()}, "layer": layers}, height={"step": STEP})


def bars(records: Sequence[Record], field: str, title: str, form: str) -> Spec:
    """Records: name, `field`. `form`: a format of d3."""
    x = {"field": field, "type": "quantitative", "title": title, "axis": {"format": form}}
    mark = {"type": "bar", "fill": ACCENT, "opacity": 0.75, "height": {"band": 0.6}}
    return _spec(records, {"mark": mark, "encoding": {"y": _names(), "x": x}}, height={"step": STEP})


def matrix(records: Sequence[Record], form: str, *, middle: float, top: float) -> Spec:
    """Records: name, opponent, value. Coloured by the distance from `middle`; every cell has its number."""
    far = max(top - middle, 1e-9)
    distance = {"calculate": f"min(1, abs(datum.value - {middle:g}) / {far:g})", "as": "distance"}
    fill = {"condition": {"test": f"datum.value < {middle:g}", "value": LOW}, "value": ACCENT}
    # Half covered at most, so that the number on it stays readable.
    opacity = {
        "field": "distance",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.03, 0.5]},
        "legend": None,
    }
    layers = [
        {"mark": {"type": "rect"}, "encoding": {"fill": fill, "fillOpacity": opacity}},
        {
            "mark": {"type": "text", "fill": INK, "fontSize": 11},
            "encoding": {"text": {"field": "value", "type": "quantitative", "format": form}},
        },
    ]
    opponents = {
        "field": "opponent",
        "type": "nominal",
        "sort": list(dict.fromkeys(record["name"] for record in records)),
        "axis": {"orient": "top", "labelAngle": -45, "title": None, "ticks": False, "domain": False},
    }
    body = {"transform": [distance], "encoding": {"y": _names(), "x": opponents}, "layer": layers}
    return _spec(records, body, width={"step": _CELL}, height={"step": STEP})


def lines(records: Sequence[Record], names: Sequence[str], title: str) -> Spec:
    """Records: name, day, value. A line for each name, told apart by colour and by dashes."""
    colours = [f"var(--chart-{i % N_COLOURS + 1})" for i in range(len(names))]
    dashes = [_DASHES[i % len(_DASHES)] for i in range(len(names))]
    legend = {"title": None, "orient": "bottom", "columns": 2, "symbolType": "stroke", "symbolSize": 400}
    encoding = {
        "x": {"field": "day", "type": "temporal", "title": None, "axis": {"format": "%-d %b %Y", "labelOverlap": True}},
        "y": {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True}, "title": title},
        "stroke": {
            "field": "name",
            "type": "nominal",
            "scale": {"domain": list(names), "range": colours},
            "legend": legend,
        },
        "strokeDash": {
            "field": "name",
            "type": "nominal",
            "scale": {"domain": list(names), "range": dashes},
            "legend": legend,
        },
    }
    mark = {"type": "line", "strokeWidth": 2, "point": False}
    return _spec(records, {"mark": mark, "encoding": encoding}, width=_WIDTH, height=_HEIGHT)


def points(records: Sequence[Record], field: str, title: str, rating_title: str) -> Spec:
    """Records: name, `field`, rating, lower, upper. Each point has its name and its interval."""
    x = {"field": field, "type": "quantitative", "scale": {"type": "symlog"}, "title": title, "axis": {"tickCount": 6}}
    y = {"type": "quantitative", "scale": {"zero": False, "nice": True}, "title": rating_title}
    layers = [
        {
            "mark": {"type": "rule", "stroke": ACCENT, "strokeWidth": 2, "opacity": 0.45},
            "encoding": {"x": x, "y": y | {"field": "lower"}, "y2": {"field": "upper"}},
        },
        {
            "mark": {"type": "point", "filled": True, "fill": ACCENT, "opacity": 1, "size": 60},
            "encoding": {"x": x, "y": y | {"field": "rating"}},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 8, "fill": INK, "fontSize": 12, "limit": 200},
            "encoding": {"x": x, "y": y | {"field": "rating"}, "text": {"field": "name"}},
        },
    ]
    return _spec(records, {"layer": layers}, width=_WIDTH, height=_HEIGHT)


def _names() -> Spec:
    """One below the other, in the order of the records."""
    axis = {"title": None, "ticks": False, "domain": False, "minExtent": 80}
    return {"field": "name", "type": "nominal", "sort": None, "axis": axis}


def _spec(records: Sequence[Record], body: Spec, *, height: object, width: object = _WIDTH) -> Spec:
    data = {"values": [dict(record) for record in records]}
    return {"data": data, "width": width, "height": height, "config": _CONFIG, "padding": _PADDING} | body
