"""Formulas: LaTeX becomes MathML that browsers draw, and nothing else becomes a formula."""

import pytest

from apps.conversations.markdown import BlockStream, render
from apps.conversations.markdown.math import KEPT_CHARS, KEPT_FORMULAS, MAX_FORMULA_CHARS, kept, math_html


def test_formulas_in_a_sentence_and_on_their_own() -> None:
    html = render(r"Let $x^2$ and \(y_1\) be, so \[\frac{a}{b}\] or $$a = b$$.")
    assert html.count('<math display="inline">') == 2
    assert html.count('<math display="block">') == 2
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html
    assert "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>" in html
    assert '<annotation encoding="application/x-tex">\\frac{a}{b}</annotation>' in html


@pytest.mark.parametrize(("opening", "closing"), [("$$", "$$"), ("\\[", "\\]")])
def test_a_block_between_lines_of_marks_may_hold_what_looks_like_markdown(opening: str, closing: str) -> None:
    html = render(f"So:\n{opening}\na\n- b\n\n# c\n+ d\n{closing}\nand *on*.")
    assert html.count("<math") == 1
    assert "<li>" not in html
    assert "<em>on</em>" in html


def test_a_block_in_a_list_stays_in_its_item() -> None:
    html = render("1. First\n   $$\n   a\n   $$\n2. Second $b$")
    assert html.count("<li>") == 2
    assert html.count("<math") == 2


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "From $5-$6 to $7, or US$8",
        "A lone $ sign, and two $$ of them.",
        r"An escaped \$x\$ dollar",
        "`$x$` in code",
        "$ x $ with spaces",
    ],
)
def test_prices_and_code_stay_what_they_are(text: str) -> None:
    assert "<math" not in render(text)


def test_what_cannot_be_read_is_shown_as_it_was_written() -> None:
    assert render(r"$\frac{a$") == "<p><code>$\\frac{a$</code></p>\n"
    assert "x" * 20 in render(f"${'x' * (MAX_FORMULA_CHARS + 1)}$")
    assert '<span class="code__language">latex</span>' in render("$$\n\\frac{\n$$")
    assert "never closed" in render("$$\nnever closed")


@pytest.mark.parametrize(
    "latex",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        r"\begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}",
        r"\sum_{i=1}^{n} \sqrt{x_i} \cdot \int_0^\infty e^{-x}\,dx",
        r"\hat{\theta} = \arg\max_\theta \mathbb{E}\left[\log p(x \mid \theta)\right]",
        r"P(A|B) = \frac{P(B|A)\,P(A)}{P(B)}",
        r"\nabla \times \vec{B} = \mu_0 \vec{J} + \mu_0\varepsilon_0 \frac{\partial \vec{E}}{\partial t}",
    ],
)
def test_what_models_write_most_is_understood(latex: str) -> None:
    html = math_html(latex, is_display=True)
    assert html is not None
    assert "\\" not in html.split("<annotation")[0]


def test_blocks_before_a_formula_that_is_still_open_are_shown_already() -> None:
    stream = BlockStream()
    stream.feed("First.\n\nSo\n$$\na\n- b\n")
    assert stream.blocks == ["<p>First.</p>\n"]
    assert stream.tail == "So\n$$\na\n- b\n"
    stream.feed("$$\n\n")
    assert len(stream.blocks) == 3
    assert "<math" in stream.blocks[2]


@pytest.mark.parametrize(
    "text",
    [
        "\\[\na\n> \\[\n> b\n> \\]\n",
        "- \\[\n  a\n- \\[\n  b\n  \\]\n",
        "$$\na\n\\[\nb\n\\]\n",
        "\\[\n\\[\n\n\\[\nb\n\\]",
    ],
    ids=["in a quote after it", "in the next item", "of the other kind", "openings before it"],
)
def test_a_formula_is_found_although_one_before_it_has_no_end(text: str) -> None:
    assert "<math" in render(text)


HOSTILE = [
    r"\," * 100,
    "a&" * 100,
    "x^y" * 66,
    r"\tr " * 50,
    "&" * KEPT_CHARS,
    r"\begin{matrix}" + "&" * 170 + r"\end{matrix}",
]


@pytest.mark.parametrize("latex", HOSTILE, ids=lambda latex: latex[:4])
def test_all_formulas_that_are_kept_take_a_bounded_amount_of_memory(latex: str) -> None:
    html = math_html(latex, is_display=False) or ""
    assert len(html) * KEPT_FORMULAS < 32 * 1024**2


def test_a_long_formula_is_not_kept() -> None:
    kept.cache_clear()
    math_html("x" * (KEPT_CHARS + 1), is_display=False)
    assert kept.cache_info().currsize == 0
    math_html("x" * KEPT_CHARS, is_display=False)
    assert kept.cache_info().currsize == 1
