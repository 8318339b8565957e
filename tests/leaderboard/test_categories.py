"""What battles are about, and how much one counts about a prompt that many ask."""

import time
from typing import Any

import numpy as np
import pytest

from apps.leaderboard.battle_files.categories import categories_in, categories_of
from apps.leaderboard.battle_files.frequency import UNKNOWN, prompt_number, share_in, shares
from apps.leaderboard.battle_files.style import FEATURES
from apps.leaderboard.errors import RatingRefused
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import BoardConfig, board_make
from apps.leaderboard.rating.slices import OVERALL, Slice, boards_make, of_category
from tests.leaderboard.simulated import battles_drawn, strengths_drawn

HARD = """I run a bakery in Lyon with 14 employees. Design a weekly shift plan as a table in which everybody works at
most five days, and explain why it is fair. Compare it with two alternatives: 1. fixed shifts 2. rotating shifts. Which
one is cheaper? What are the trade-offs? Write a Python program that checks the plan."""

KINDS: list[tuple[str, set[str]]] = [
    ("Write a Python function that reverses a list.", {"code"}),
    ("Why does this fail?\n```\nx = [1, 2\n```", {"code"}),
    ("Solve for the eigenvalues of this matrix, please.", {"maths"}),
    (r"What is $\int x^2 dx$ on the whole?", {"maths"}),
    ("Tell me about the history of the city of Lisbon.", set()),
    ("Describe autumn in exactly three sentences, and do not mention leaves.", {"instructions"}),
    ("Give me an overview of rivers as a table, please.", {"instructions"}),
    ("Does the class begin at noon, and which bus should I take to school?", set()),
]


@pytest.mark.parametrize(("prompt", "kinds"), KINDS)
def test_a_prompt_is_of_the_kinds_that_its_words_say(prompt: str, kinds: set[str]) -> None:
    assert categories_of([prompt]) == kinds | {"lang_en"}


def test_length_turns_languages_and_demands_are_seen() -> None:
    assert "long" in categories_of(["word " * 500]) and "long" not in categories_of(["word " * 300])
    assert categories_of(["Erzähle mir bitte etwas über die Geschichte der Stadt", "Und dann?"]) == {
        "multi_turn",
        "lang_de",
    }
    assert {"hard", "code", "instructions"} <= categories_of([HARD])
    assert "hard" not in categories_of(["Write a Python function that reverses a list."])


def test_a_row_that_tells_is_believed_and_asked_by_rules_otherwise() -> None:
    turns = [{"role": "user", "content": "Solve for the eigenvalues of this matrix, please."}]
    row: dict[str, Any] = {"conversation_a": turns, "language": "German", "turn": 2}
    assert categories_in(row) == {"maths", "lang_de", "multi_turn"}
    assert categories_in({"is_code": True, "language": "Japanese", "turn": 1}) == {"code", "lang_ja"}
    assert categories_in({"conv_metadata": {"sum_user_tokens": 501}, "turn": 1}) == {"long"}
    assert categories_in({"conv_metadata": {"sum_user_tokens": 10**400}, "turn": 1}) == set()
    assert categories_in(row | {"categories": ["code", "lang_fr"]}) == {"code", "lang_fr"}
    assert categories_in(row | {"categories": ["Code", 7, "x" * 99, "<b>"]}) == set()
    judged = {"math_v0.1": {"math": False}, "if_v0.1": {"if": True, "score": 5}}
    criteria = dict.fromkeys("abcdef", True) | {"g": False}
    assert categories_in(row | {"category_tag": judged | {"criteria_v0.1": criteria}}) == {
        "lang_de", "multi_turn", "instructions", "hard",
    }  # fmt: skip


@pytest.mark.parametrize("unit", ["$=", "1+", "select ", "; ", '"a', "**a", "- ", "x^2", "#", "1. "])
def test_no_prompt_makes_the_rules_slow(unit: str) -> None:
    started = time.process_time()
    categories_of([unit * (400_000 // len(unit))])
    assert time.process_time() - started < 2


def test_a_frequent_prompt_counts_no_more_than_its_share() -> None:
    prompts = np.array([7] * 40 + [8] * 10 + [UNKNOWN] * 50)
    found = shares(prompts)
    assert found[:40].sum() == pytest.approx(10)
    assert found[40:].tolist() == [1.0] * 60
    many = np.concatenate((np.full(20_000, 7), np.arange(100, 80_100)))
    assert shares(many)[:20_000].sum() == pytest.approx(100)


def test_prompts_are_the_same_by_their_words_and_files_may_tell_the_share() -> None:
    def asked(text: str) -> dict[str, Any]:
        return {"conversation_a": [{"role": "user", "content": text}, {"role": "assistant", "content": "Hi"}]}

    assert prompt_number(asked("Hello")) == prompt_number(asked("Hello")) != prompt_number(asked("Hallo"))
    assert prompt_number({}) == UNKNOWN
    assert share_in({"prompt_share": 0.25}) == 0.25
    assert share_in({"dedup_tag": {"high_freq": True, "sampled": False}}) == 0
    assert share_in({"prompt_share": 7}) is None and share_in({}) is None


def test_each_category_is_a_board_of_its_battles_and_those_without_one_say_why() -> None:
    random = np.random.default_rng(6)
    drawn = battles_drawn(strengths_drawn(5, random), 900, random)
    tags = (random.random(900) < 0.5).astype(np.int64) | ((np.arange(900) < 3) << 1)
    battles = Battles.of(drawn.names, first=drawn.first, second=drawn.second, outcome=drawn.outcome, tags=tags)
    found = boards_make(battles, ("code", "rare"), FEATURES, BoardConfig())
    assert set(found.made) == {Slice(OVERALL, False), Slice("code", False)}
    assert found.made[Slice("code", False)] == board_make(battles.where((tags & 1) == 1), BoardConfig())
    assert set(found.refused) == {Slice(name, True) for name in (OVERALL, "code", "rare")} | {Slice("rare", False)}
    assert all(isinstance(why, RatingRefused) for why in found.refused.values())
    assert len(of_category(battles, "nothing", ("code", "rare"))) == 0
