"""Every pair of colours that meets on a page is readable: WCAG 2.2 AA, in both themes.

Source: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, success criteria 1.4.3 (text) and 1.4.11 (controls).
"""

import re
from itertools import product
from pathlib import Path

import pytest
import unfold

from tests.live import ROOT

CSS = ROOT / "static" / "css"
TEXT = 4.5
CONTROL = 3.0

INKS = ["ink", "ink-soft", "accent", "accent-strong", "danger"]
PAPERS = ["paper", "paper-side", "paper-raised", "paper-sunken"]
CODE_ROLES = ["ink", "comment", "keyword", "string", "number", "name", "deleted", "inserted"]
CODE_INKS = [f"code-{role}" for role in CODE_ROLES]
PAIRS = [
    *[(ink, paper, TEXT) for ink, paper in product(INKS, PAPERS)],
    *[(ink, "code-paper", TEXT) for ink in CODE_INKS],
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-strong", TEXT),
    ("on-danger", "danger", TEXT),
    ("ink", "warning-soft", TEXT),
    ("ink", "danger-soft", TEXT),
    ("ink", "accent-soft", TEXT),
    ("warning", "warning-soft", TEXT),
    ("paper", "ink", TEXT),
    ("line-strong", "paper", CONTROL),
    ("line-strong", "paper-raised", CONTROL),
    ("accent", "paper", CONTROL),
    ("good", "paper", CONTROL),
    ("warning", "paper", CONTROL),
    *[(f"chart-{i}", "paper", CONTROL) for i in range(1, 9)],
]


def tokens(text: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))


def themes() -> dict[str, dict[str, str]]:
    light, dark = (CSS / "tokens.css").read_text().split("@media (prefers-color-scheme: dark)")
    return {"light": tokens(light), "dark": tokens(light) | tokens(dark)}


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_the_formula_gives_the_published_extremes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_that_meet_can_be_told_apart(theme: str) -> None:
    colours = themes()[theme]

    ratios = {(ink, paper): (contrast(colours[ink], colours[paper]), least) for ink, paper, least in PAIRS}

    assert {pair: round(ratio, 2) for pair, (ratio, least) in ratios.items() if ratio < least} == {}


def test_every_colour_of_the_light_theme_has_a_dark_one() -> None:
    light, dark = (CSS / "tokens.css").read_text().split("@media (prefers-color-scheme: dark)")

    assert tokens(dark).keys() == tokens(light).keys()


@pytest.mark.parametrize("sheet", sorted(CSS.glob("*.css")), ids=lambda path: path.name)
def test_sheets_use_tokens_that_exist_and_no_colours_of_their_own(sheet: Path) -> None:
    text = sheet.read_text()
    known = set(re.findall(r"--([\w-]+):", (CSS / "tokens.css").read_text()))

    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= known
    assert "url(" not in text
    assert "@import" not in text
    if sheet.name not in ("tokens.css", "print.css"):
        assert not re.search(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(", text)


@pytest.mark.parametrize("sheet", sorted((CSS / "admin").glob("*.css")), ids=lambda path: path.name)
def test_sheets_of_the_admin_use_the_colours_of_its_theme_and_none_of_their_own(sheet: Path) -> None:
    text = sheet.read_text()
    theme = (Path(unfold.__file__).parent / "static" / "unfold" / "css" / "styles.css").read_text()
    known = set(re.findall(r"--([\w-]+):", theme + text))

    assert set(re.findall(r"var\(--([\w-]+)", text)) <= known
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(|url\(|@import", text)
