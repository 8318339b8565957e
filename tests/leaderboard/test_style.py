"""Style taken out of ratings: what is counted, that it is found, and that another library finds the same."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from apps.leaderboard.battle_files.style import FEATURES, UNKNOWN, counts_of, difference, metadata_of, style_of
from apps.leaderboard.errors import NotConverged, StyleWanted
from apps.leaderboard.rating.battles import Battles, FloatArray
from apps.leaderboard.rating.board import POINTS_PER_LOGIT, BoardConfig, board_make
from apps.leaderboard.rating.fit import fit
from apps.leaderboard.rating.intervals import Covariance, covariance, standard_errors
from apps.leaderboard.rating.slices import with_style
from tests.leaderboard.simulated import FIRST, SECOND, TIE, strengths_drawn

ANSWER = """# Title
Some **bold** and __bold__ words:
- one
* two
1. three
```python
# no heading
- no item
**no bold**
```
## Another
"""


def styled(n: int, seed: int, swayed: float = 0.5) -> tuple[Battles, FloatArray]:
    """Six models, of which the later ones write longer; voters are swayed by length. And the true strengths."""
    random = np.random.default_rng(seed)
    truth = strengths_drawn(6, random)
    first = random.integers(0, 6, n)
    second = (first + random.integers(1, 6, n)) % 6
    length = random.normal((first - second) / 6, 0.4)
    style = np.stack((length / 4, *(random.normal(0, 0.2, n) for _ in range(3))), axis=1)
    d = truth[first] - truth[second] + swayed * style[:, 0] / style[:, 0].std()
    won = random.random(n) < 1 / (1 + np.exp(-d))
    outcome = np.where(random.random(n) < 0.1, TIE, np.where(won, FIRST, SECOND))
    names = tuple(f"model-{i}" for i in range(6))
    voter = random.integers(0, n // 10, n)
    return Battles.of(names, first=first, second=second, outcome=outcome, style=style, voter=voter), truth


def test_markdown_is_counted_outside_of_code() -> None:
    assert counts_of([ANSWER]) == (len(ANSWER), 2, 3, 2)
    assert counts_of([ANSWER, "plain"], n_tokens=70) == (70, 2, 3, 2)
    assert counts_of(["```\n# code that does not end"])[1:] == (0, 0, 0)


def test_what_is_left_of_two_answers_is_between_minus_one_and_one() -> None:
    assert difference((30, 0, 2, 1), (10, 0, 0, 2)) == (20 / 41, 0, 2 / 3, -0.25)


def test_a_row_tells_its_style_by_numbers_or_by_its_texts() -> None:
    a, b = (120.0, 2.0, 3.0, 0.0), (60.0, 0.0, 1.0, 1.0)
    assert style_of({"conv_metadata": metadata_of(a, b)}) == difference(a, b)
    by_kind = metadata_of(a, b) | {"header_count_a": {"h1": 1, "h2": 1}, "bold_count_b": {"**": 1, "__": 0}}
    assert style_of({"conv_metadata": by_kind}) == difference(a, b)

    def said(text: str, **more: Any) -> list[dict[str, Any]]:
        return [{"role": "user", "content": "?"}, {"role": "assistant", "content": text, **more}]

    texts = {"conversation_a": said(ANSWER), "conversation_b": said("plain")}
    assert style_of(texts) == difference(counts_of([ANSWER]), counts_of(["plain"]))
    tokens = {"conversation_a": said(ANSWER, num_tokens=50), "conversation_b": said("plain", num_tokens=1)}
    assert style_of(tokens)[0] == 49 / 52
    assert style_of({}) is UNKNOWN


@pytest.mark.parametrize("wrong", ["many", -1, None, True, {"h1": "two"}, float("nan"), 1e300])
def test_counts_that_are_none_are_not_known(wrong: Any) -> None:
    metadata = metadata_of((1, 1, 1, 1), (1, 1, 1, 1)) | {"header_count_a": wrong}
    assert style_of({"conv_metadata": metadata}) is UNKNOWN


def test_strengths_and_sway_are_found_where_the_plain_board_is_misled() -> None:
    battles, truth = styled(20_000, seed=1)
    board = board_make(battles, BoardConfig(), FEATURES)
    points = {row.name: row.rating for row in board.rows}
    found = np.array([points[name] for name in battles.names], dtype=float) - 1000
    # Ties as half wins pull both alike.
    np.testing.assert_allclose(found, 0.9 * POINTS_PER_LOGIT * truth, atol=14)
    length = board.style[0]
    assert length.lower < 0.9 * 0.5 * POINTS_PER_LOGIT < length.upper
    assert all(of.lower < 0 < of.upper for of in board.style[1:])
    plain = Battles.of(battles.names, first=battles.first, second=battles.second, outcome=battles.outcome)
    misled = {row.name: row.rating or 0.0 for row in board_make(plain, BoardConfig()).rows}
    assert misled["model-5"] - misled["model-0"] > found[5] - found[0] + 30


def test_statsmodels_finds_the_same_coefficients_and_robust_errors() -> None:
    battles, _ = styled(1500, seed=2)
    assert battles.style is not None
    found = fit(battles.cells(), 6)
    x = np.zeros((len(battles), 6))
    every = np.arange(len(battles))
    x[every, battles.first], x[every, battles.second] = 1, -1
    design = np.hstack((x[:, 1:], battles.style))
    theirs = sm.GLM(battles.score, design, family=sm.families.Binomial())
    strengths = found.strengths - found.strengths[0]
    for kind, options in (
        (Covariance.MODEL, {}),
        (Covariance.ROBUST, {"cov_type": "HC0"}),
        (Covariance.CLUSTERED, {"cov_type": "cluster", "cov_kwds": {"groups": battles.voter, "use_correction": False}}),
    ):
        fitted = theirs.fit(tol=1e-12, **options)
        np.testing.assert_allclose(fitted.params, [*strengths[1:], *found.style], atol=1e-7)
        n = {Covariance.MODEL: None, Covariance.ROBUST: 1500, Covariance.CLUSTERED: len(set(battles.voter.tolist()))}
        small = 1.0 if (of := n[kind]) is None else np.sqrt(of / (of - 1))
        matrix = covariance(battles, battles.cells(), found, kind)
        against_first = np.eye(matrix.shape[0])
        against_first[1:6, 0] = -1
        errors = standard_errors(against_first @ matrix @ against_first.T)[1:]
        np.testing.assert_allclose(errors, fitted.bse * small, rtol=1e-5)


def test_swapping_sides_changes_no_number() -> None:
    battles, _ = styled(800, seed=3)
    assert battles.style is not None
    swapped = Battles.of(
        battles.names,
        first=battles.second,
        second=battles.first,
        outcome=np.array([SECOND, FIRST, TIE])[battles.outcome],
        style=-battles.style,
    )
    one, other = (board_make(of, BoardConfig(), FEATURES) for of in (battles, swapped))
    for row, twin in zip(one.rows, other.rows, strict=True):
        assert (row.name, row.rank) == (twin.name, twin.rank)
        assert (row.rating, row.lower) == pytest.approx((twin.rating, twin.lower), abs=1e-6)


def test_the_order_of_battles_leaves_no_trace_in_a_styled_board() -> None:
    battles, _ = styled(800, seed=4)
    order = np.random.default_rng(0).permutation(len(battles))
    assert battles.style is not None
    shuffled = Battles.of(
        battles.names,
        first=battles.first[order],
        second=battles.second[order],
        outcome=battles.outcome[order],
        style=battles.style[order],
        voter=battles.voter[order],
    )
    for kind in Covariance:
        config = BoardConfig(covariance=kind)
        assert board_make(battles, config, FEATURES) == board_make(shuffled, config, FEATURES)


def test_style_that_cannot_be_taken_out_is_refused() -> None:
    battles, _ = styled(300, seed=5)
    assert battles.style is not None

    def of(style: FloatArray) -> Battles:
        return Battles.of(
            battles.names, first=battles.first, second=battles.second, outcome=battles.outcome, style=style
        )

    alike = battles.style.copy()
    alike[:, 2] = 0
    with pytest.raises(StyleWanted, match="alike in a feature"):
        board_make(of(alike), BoardConfig(), FEATURES)
    with pytest.raises(StyleWanted, match="nothing is known"):
        with_style(of(np.full_like(alike, np.nan)))
    decides = battles.style.copy()
    decides[:, 0] = np.where(battles.outcome == FIRST, 0.5, -0.5) + 0.01 * battles.style[:, 1]
    untied = of(decides).where(battles.outcome != TIE)
    with pytest.raises(NotConverged):
        board_make(untied, BoardConfig(), FEATURES)
