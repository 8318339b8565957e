"""The two recipes by which data are made fit to publish, on small dumps with something for each of their steps."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from apps.moderation import selectors
from apps.moderation.models import Rule
from tests.datasets.support import RELEASE_KEY, lines_of, written
from tests.live import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "a question of more than sixteen letters, number"


@pytest.fixture(autouse=True)
def rule(transactional_db: None) -> Iterator[None]:
    selectors.forget()
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother")
    yield
    selectors.forget()


def turns(question: str, answer: str = "An answer.") -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def battle(n: int, question: str = "", answer_b: str = "An answer.", **more: Any) -> dict[str, Any]:
    asked = question or f"{LONG} {n}"
    return {
        "question_id": f"q{n}", "model_a": "owl", "model_b": "fox", "winner": "model_a", "judge": f"arena_user_{n % 2}",
        "conversation_a": turns(asked), "conversation_b": turns(asked, answer_b), "turn": 1, "anony": True,
        "language": "English", "tstamp": 1.5 * n, **more,
    }  # fmt: skip


BATTLES = [
    *(battle(n) for n in range(6)),
    battle(10, "hi"),
    *(battle(n, "please write a story for me") for n in (11, 12)),
    battle(13, answer_b="Ask <anonymized> about it."),
    battle(14, answer_b="這是秘密計算機"),
    battle(15, model_b="Vicuna 33B"),
    battle(16, answer_b="Oh bother."),
    battle(17, answer_b=" "),
    battle(18, answer_b="Write to owl@example.org, please."),
]


def cleaned(folder: Path, name: str, rows: list[dict[str, Any]], *more: str) -> tuple[list[dict[str, Any]], Any]:
    arguments = ["--input", str(written(folder / "dump.jsonl", rows)), "--output", str(folder / "out")]
    settings = ["--set", "blocked_words=[秘密计算机]", *more]
    call_command("clean", str(ROOT / "configs" / "recipes" / f"{name}.yaml"), *arguments, "--workers", "1", *settings)
    report = json.loads((folder / "out" / "report.json").read_text())
    return lines_of(folder / "out" / f"{name}.jsonl"), report


def dropped(report: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in report["steps"]:
        assert one["n_in"] + one["n_made"] == one["n_out"] + sum(one["dropped"].values()), one
        counts[one["name"]] += sum(one["dropped"].values())
    return dict(+counts)


def test_battles_are_released_whole_with_nothing_that_must_not_be_there(tmp_path: Path) -> None:
    rows, report = cleaned(tmp_path, "release_battles", BATTLES, "--set", f"key_file={RELEASE_KEY}")
    assert dropped(report) == {
        "empty_messages": 1,
        "short_questions": 2,
        "frequent_questions": 4,
        "blocked_words": 2,
        "drop_models": 1,
        "without_field": 1,
        "whole_battles": 5,
    }
    assert {row["question_id"] for row in rows} == {*(f"q{n}" for n in range(6)), "q18"}
    assert len(rows) == 14
    assert len({row["judge"] for row in rows}) == 2
    assert not any("arena_user" in row["judge"] for row in rows)
    assert "[EMAIL]" in next(row for row in rows if row["id"] == "q18_b")["messages"][1]["content"]
    assert all(row["moderation"] == {"rude": 0.0} for row in rows)


def test_a_sample_of_battles_has_as_many_as_asked(tmp_path: Path) -> None:
    more = ["--set", f"key_file={RELEASE_KEY}", "--set", "n_battles=3"]
    rows, _ = cleaned(tmp_path, "release_battles", BATTLES, *more)
    assert len(rows) == 6
    assert len({row["question_id"] for row in rows}) == 3


def test_chats_are_released_without_users_and_times_and_with_tags(tmp_path: Path) -> None:
    chats = [
        {"conversation_id": f"c{n}", "model": "owl", "conversation": turns(f"{LONG} {n}"),
         "turn": 1, "language": "English", "user_id": "0f5c", "tstamp": 3.5}
        for n in range(5)
    ]  # fmt: skip
    chats[3]["conversation"] = turns("hi", "Oh bother.")
    chats[4]["conversation"] = turns("hi", "這是秘密計算機")
    rows, report = cleaned(tmp_path, "release_chats", chats)
    assert dropped(report) == {"blocked_words": 1}
    assert [row["id"] for row in rows] == ["c0", "c1", "c2", "c3"]
    assert not any({"user_id", "tstamp"} & row.keys() for row in rows)
    assert rows[3]["moderation_flagged"] == ["rude"]
    assert rows[0]["moderation"] == {"rude": 0.0}
