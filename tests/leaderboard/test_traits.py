"""What boards know of the texts of the site's own battles, and the boards of categories and without style."""

import json
import re
import shlex
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.test import Client

from apps.arena.models import Arena, Battle, Contestant, Side, Verdict, Vote
from apps.leaderboard.battle_files.style import counts_of
from apps.leaderboard.models import CategoryBoard, Snapshot, VoteTraits
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.slices import Slice
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.traits import traits_write
from apps.leaderboard.votes import votes_text
from tests.leaderboard.support import CODE, TRAVEL, command, published, said, vote, votes_file, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def spoken(arena: Arena, three: list[Contestant]) -> None:
    """Sixty battles of three about code, of answers of different lengths."""
    random = Random(3)
    for n in range(60):
        a, b = random.sample(three, 2)
        cast = vote(a, b, random.choice([Verdict.A, Verdict.B]))
        said(cast, [CODE if n % 2 else TRAVEL], ([written(random)], [written(random)]))


def test_a_vote_has_the_traits_of_the_turns_that_were_judged(arena: Arena, three: list[Contestant]) -> None:
    cast = vote(three[0], three[1])
    said(cast, ["Write a Python function, please.", "Solve for x"], (["# A\n- b", "later"], ["plain", "later"]))
    traits_write(arena)
    traits = VoteTraits.objects.get(vote=cast)
    assert traits.categories == ["code", "lang_en"]
    assert (traits.style_a, traits.style_b) == (list(counts_of(["# A\n- b"])), list(counts_of(["plain"])))


def test_traits_are_found_once_and_outlast_the_texts(arena: Arena, three: list[Contestant]) -> None:
    cast = vote(three[0], three[1])
    said(cast, ["Write a Python function, please."], (["long answer"], ["short"]))
    before = votes_of(arena)
    Side.objects.update(conversation=None)
    assert votes_of(arena) == before
    assert "categories" in before[0] and before[0]["conv_metadata"]["sum_assistant_a_tokens"] == len("long answer")


def votes_of(arena: Arena) -> list[dict[str, Any]]:
    traits_write(arena)
    return [json.loads(line) for line in votes_text(arena).splitlines()]


def test_a_vote_whose_texts_were_erased_before_is_in_no_category(arena: Arena, three: list[Contestant]) -> None:
    vote(three[0], three[1])
    assert votes_of(arena)[0]["categories"] == []
    assert "conv_metadata" not in votes_of(arena)[0]


def test_nothing_that_was_said_is_in_the_votes(arena: Arena, spoken: None) -> None:
    traits_write(arena)
    assert b"Lisbon" not in votes_text(arena) and b"word" not in votes_text(arena)


def test_a_snapshot_has_boards_of_categories_and_without_style_and_all_are_verified(arena: Arena, spoken: None) -> None:
    snapshot, _ = snapshot_build(arena, BoardConfig())
    boards = {Slice(of.category, of.is_styled): of for of in snapshot.category_boards.all()}
    categories = ("overall", "code", "lang_en")
    assert set(boards) == {Slice(of, is_styled) for of in categories for is_styled in (False, True)} - {
        Slice("overall", False)
    }
    assert boards[Slice("code", False)].board["n_battles"] == 30
    assert [of["feature"] for of in boards[Slice("overall", True)].board["style"]] == [
        "length", "headings", "lists", "bold",
    ]  # fmt: skip
    assert snapshot_verify(Snapshot.objects.get()).is_right
    changed = boards[Slice("code", True)]
    changed.board["rows"][0]["rating"] += 1
    CategoryBoard.objects.filter(pk=changed.pk).update(board=changed.board)
    assert not snapshot_verify(Snapshot.objects.get()).is_right


def test_frequent_prompts_weigh_less_when_asked(arena: Arena, spoken: None) -> None:
    """Of half of the battles, one prompt: thirty count as ten."""
    Battle.objects.filter(vote__in=Vote.objects.order_by("pk")[:30]).update(prompt_digest="same")
    plain, _ = snapshot_build(arena, BoardConfig())
    fewer, is_new = snapshot_build(arena, BoardConfig(deduplicates=True))
    assert is_new
    ratings = [sorted((row["name"], row["rating"]) for row in of.board["rows"]) for of in (plain, fewer)]
    assert ratings[0] != ratings[1]
    assert plain.votes_hash == fewer.votes_hash
    shares = [line["prompt_share"] for line in votes_of(arena) if "prompt_share" in line]
    assert shares == [pytest.approx(1 / 3, abs=1e-6)] * 30
    assert snapshot_verify(fewer).is_right


def test_the_page_of_a_category_without_style_gives_the_command_of_its_numbers(
    client: Client, arena: Arena, spoken: None, tmp_path: Path
) -> None:
    published(min_battles=3)
    address = "/leaderboard{}?category=code&style=controlled"
    page = client.get(address.format("")).content.decode()
    assert "30 of 60 votes" in page and "the numbers of this table stand in its columns" in page
    found = re.search(r"leaderboard build \S+ (.*)</code>", page)
    assert found
    file = tmp_path / "votes.jsonl"
    file.write_bytes(votes_file(client))
    printed = json.loads(command("build", str(file), "--json", *shlex.split(found[1])))
    rows = client.get(address.format("/of/public/board.json")).json()["rows"]
    assert {row["name"]: row["rating"] for row in rows} == {name: row["style_rating"] for name, row in printed.items()}


def test_the_command_builds_one_category_and_shows_style_beside_it(arena: Arena, spoken: None) -> None:
    board = json.loads(command("build", "--json", "--category", "code", "--style"))
    assert set(board) == {"ant", "bug", "cow"}
    assert sum(row["votes"] for row in board.values()) == 60
    assert all({"style_rank", "style_rating", "style_lower", "style_upper"} < set(row) for row in board.values())
