"""What a line of a benchmark says."""

import json

import pytest

from benchmarks.load import Load
from benchmarks.report import Figure, percentile, shared_beginning
from benchmarks.targets import compared, figures, target


def test_a_percentile_lies_between_the_closest_ranks() -> None:
    assert percentile([40.0, 10.0, 30.0, 20.0], 0.5) == 25.0
    assert percentile([1.0, 2.0], 0.95) == pytest.approx(1.95)
    assert percentile([7.0], 0.95) == 7.0


def test_a_target_bounds_the_ratio_to_a_peer() -> None:
    assert Figure("speed", 30.0, "tokens/s", 10.0, 2.0).holds is True
    assert Figure("speed", 19.0, "tokens/s", 10.0, 2.0).holds is False
    assert Figure("delay", 2.0, "ms", 10.0, 0.25, less_is_better=True).holds is True
    assert Figure("delay", 3.0, "ms", 10.0, 0.25, less_is_better=True).holds is False


def test_without_a_peer_a_target_bounds_the_value() -> None:
    assert Figure("memory", 440.0, "MB", None, 450.0, less_is_better=True).holds is True
    assert Figure("memory", 460.0, "MB", None, 450.0, less_is_better=True).holds is False


def test_a_line_is_json_with_the_ratio_and_whether_the_target_holds() -> None:
    line = json.loads(Figure("speed", 30.004, "tokens/s", 10.0, 2.0).line())

    assert line == {
        "name": "speed", "value": 30.0, "unit": "tokens/s", "peer": 10.0, "target": 2.0, "ratio": 3.0, "holds": True
    }  # fmt: skip


def test_a_shared_beginning_ends_at_the_first_difference() -> None:
    assert shared_beginning("river stone", "river sand") == 7
    assert shared_beginning("river", "river stone") == 5
    assert shared_beginning("river", "stone") == 0


def test_figures_are_medians_over_runs_of_each_runs_own() -> None:
    runs = [
        Load(1.0, 64, 100, [0.1], [0.01, 0.03]),
        Load(2.0, 64, 100, [0.3], [0.02]),
        Load(4.0, 64, 100, [0.2], [0.5]),
    ]

    assert figures(runs) == pytest.approx(
        {"tokens_per_s": 32.0, "ttft_p50": 200.0, "ttft_p95": 200.0, "gap_p50": 20.0, "gap_p95": 29.0}
    )


def test_a_comparison_names_each_figure_and_holds_it_against_its_target() -> None:
    ours, theirs = [Load(1.0, 640, 0, [0.1], [0.01])], [Load(1.0, 64, 0, [0.5], [0.02])]

    lines = {figure.name: figure for figure in compared("t", ours, theirs, {"tokens_per_s": 20.0, "ttft_p95": 0.25})}

    assert (lines["t.tokens_per_s"].ratio, lines["t.tokens_per_s"].holds) == (10.0, False)
    assert (lines["t.ttft_p95"].ratio, lines["t.ttft_p95"].holds) == (0.2, True)
    assert lines["t.gap_p95"].holds is None


@pytest.mark.parametrize(
    ("peer", "model", "streams", "figure", "expected"),
    [
        ("fastchat", "tiny", 32, "tokens_per_s", 20.0),
        ("fastchat", "small", 32, "ttft_p95", 0.25),
        ("fastchat", "small", 8, "ttft_p95", None),
        ("llamacpp-f32", "tiny", 1, "tokens_per_s", None),
        ("llamacpp-f32", "small", 1, "tokens_per_s", 0.7),
        ("llamacpp-q8_0", "small", 8, "tokens_per_s", None),
    ],
)
def test_each_peer_model_and_number_of_streams_has_its_own_target(
    peer: str, model: str, streams: int, figure: str, expected: float | None
) -> None:
    assert target(peer, model, streams, figure) == expected


def test_being_level_with_transformers_is_not_ahead_of_it() -> None:
    level = Figure("speed", 50.0, "tokens/s", 50.0, target("transformers", "tiny", 1, "tokens_per_s"))

    assert level.holds is False
