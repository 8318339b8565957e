"""Pages and downloads of a board: what they show, sort and give away, and to whom."""

import csv
import io
import json
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Battle, Contestant
from apps.arena.pages import names_told
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.flags import OPTIONS, config_flags
from apps.leaderboard.history import Trend, history_write
from apps.leaderboard.management.options import config_of
from apps.leaderboard.models import CategoryBoard, DailyRating, Snapshot
from apps.leaderboard.pages import spark
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.ties import TieModel
from apps.leaderboard.sorting import Column, Order, sorted_by
from tests.leaderboard.support import body_of, command, published, vote, votes_file

pytestmark = pytest.mark.django_db

OF_A_BOARD = (
    "/leaderboard",
    *(f"/leaderboard/of/public/{name}" for name in ("board.csv", "board.json", "votes.jsonl")),
)


def page_of(client: Client, address: str = "/leaderboard") -> str:
    reply = client.get(address)
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_page_shows_the_board_and_how_to_make_it_again(client: Client, votes: None) -> None:
    assert "There is no board yet. It comes by itself" in page_of(client)
    for path in OF_A_BOARD[1:]:
        assert client.get(path).status_code == 404
    published(min_battles=2)
    snapshot = Snapshot.objects.get()
    page = page_of(client)
    assert all(text in page for text in ("ant lab", "MIT", "40 votes", 'aria-sort="ascending"', "95 % interval"))
    assert f"leaderboard verify {snapshot.public_id}" in page
    assert f"leaderboard build votes-{str(snapshot.public_id)[:8]}.jsonl --min-battles 2" in page
    assert snapshot.votes_hash in page


def test_names_are_told_with_what_the_newest_board_says(arena: Arena, three: list[Contestant], votes: None) -> None:
    battle = Battle.objects.filter(arena=arena).earliest("pk")
    Battle.objects.filter(pk=battle.pk).update(revealed_at=timezone.now())
    battle.refresh_from_db()
    told = names_told(battle)
    assert told is not None
    assert {(one.rank, one.rating, one.board_url) for one in told} == {(None, None, "")}
    for _ in range(2):
        published()
        vote(three[0], three[1])
    board = {row["name"]: row for row in Snapshot.objects.order_by("-pk")[0].board["rows"]}
    told = names_told(battle)
    assert told is not None
    for one in told:
        assert (one.rank, one.rating) == (board[one.name]["rank"], board[one.name]["rating"])
        assert one.board_url == "/leaderboard/of/public"
    Battle.objects.filter(pk=battle.pk).update(revealed_at=None)
    battle.refresh_from_db()
    assert names_told(battle) is None


def test_a_heading_sorts_and_once_more_turns_the_order_round(client: Client, votes: None) -> None:
    published()
    by_name = page_of(client, "/leaderboard?sort=name")
    assert by_name.index("ant lab") < by_name.index("bug lab") < by_name.index("cow lab")
    assert 'href="?sort=-name#board"' in by_name
    turned = page_of(client, "/leaderboard?sort=-name")
    assert turned.index("cow lab") < turned.index("bug lab") < turned.index("ant lab")
    assert 'aria-sort="descending"' in turned
    assert 'aria-sort="ascending"' in page_of(client, "/leaderboard?sort=password")


def test_what_is_empty_comes_last_in_either_direction() -> None:
    column = Column("real", "Number", is_downward=True)

    class Row:
        def __init__(self, real: float | None) -> None:
            self.real = real

    rows = [Row(None), Row(1.0), Row(3.0), Row(0.0)]
    downward, upward = Order(column), Order(column, is_turned=True)
    assert [row.real for row in sorted_by(rows, downward)] == [3.0, 1.0, 0.0, None]
    assert [row.real for row in sorted_by(rows, upward)] == [0.0, 1.0, 3.0, None]


def test_a_row_without_a_rating_says_why_and_has_no_bar(
    client: Client, arena: Arena, three: list[Contestant], votes: None
) -> None:
    god = LanguageModel.objects.create(name="god")
    vote(Contestant.objects.get_or_create(arena=arena, name="god", defaults={"model": god})[0], three[0])
    published()
    page = page_of(client, "/leaderboard?sort=votes")
    last = page[page.rindex("<tr>", 0, page.index("never lost")) : page.index("</table>")]
    assert "god</a>" in last
    assert '<td class="board__rank">–</td>' in last
    assert '<td class="board__votes">1</td>' in last
    assert last.count('dir="auto">–</td>') == 2
    assert "<rect" not in last
    assert page.count('<rect class="board__middle"') == 3


def test_the_trend_is_over_days_and_the_last_board_of_a_day_is_its_own(
    client: Client, arena: Arena, three: list[Contestant], votes: None
) -> None:
    published()
    earlier = Snapshot.objects.get()
    assert "since" not in page_of(client)
    Snapshot.objects.update(created_at=earlier.created_at - timedelta(days=3))
    DailyRating.objects.update(day=earlier.created_at.date() - timedelta(days=3))
    for _ in range(2):
        for _ in range(6):
            vote(three[0], three[1])
        published()
    assert DailyRating.objects.count() == 6
    last = Snapshot.objects.first()
    assert last
    [today] = DailyRating.objects.filter(contestant=three[0], day=last.created_at.date())
    [before] = DailyRating.objects.filter(contestant=three[0]).exclude(pk=today.pk)
    assert today.snapshot == last
    assert f"+{today.rating - before.rating:.1f}</span>" in page_of(client)
    assert f"since {before.day:%-d %b %Y}" in page_of(client)


def test_a_spark_goes_up_to_the_highest_and_keeps_the_distance_of_days(votes: None) -> None:
    published()
    day = Snapshot.objects.get().created_at.date()
    days = (day, day + timedelta(days=1), day + timedelta(days=4))
    assert spark(Trend(days, (1000.0, 1010.0, 1005.0))) == "0.0,16.0 15.0,0.0 60.0,8.0"
    assert spark(Trend(days[:2], (1000.0, 1000.0))) == "0.0,8.0 60.0,8.0"


def test_a_model_that_has_another_name_now_has_its_history(three: list[Contestant], votes: None) -> None:
    published()
    DailyRating.objects.all().delete()
    Contestant.objects.filter(pk=three[0].pk).update(name="renamed")
    history_write(Snapshot.objects.get())
    assert set(DailyRating.objects.values_list("contestant__name", flat=True)) == {"renamed", "bug", "cow"}


def test_downloads_hold_the_rows_of_the_page(client: Client, votes: None) -> None:
    published()
    rows = list(csv.DictReader(io.StringIO(page_of(client, "/leaderboard/of/public/board.csv"))))
    told = client.get("/leaderboard/of/public/board.json").json()
    assert [row["name"] for row in rows] == [row["name"] for row in told["rows"]]
    assert {row["name"] for row in rows} == {"ant", "bug", "cow"}
    assert set(rows[0]) == set(told["rows"][0])
    assert told["votes_hash"] == Snapshot.objects.get().votes_hash


def test_a_name_that_is_a_formula_is_text_in_the_csv(client: Client, three: list[Contestant]) -> None:
    Contestant.objects.filter(pk=three[0].pk).update(name="=1+1", is_automatic=False)
    three[0].refresh_from_db()
    vote(three[0], three[1])
    vote(three[1], three[0])
    published(min_battles=1)
    assert "'=1+1" in page_of(client, "/leaderboard/of/public/board.csv")


def test_the_votes_of_the_page_give_its_numbers_and_name_nobody(
    client: Client, alice: User, votes: None, tmp_path: Path
) -> None:
    printed = command("build", "--json", "--ties", "davidson")
    reply = client.get("/leaderboard/of/public/votes.jsonl")
    file = tmp_path / "votes.jsonl"
    text = body_of(reply)
    file.write_bytes(text)
    assert command("build", str(file), "--json", "--ties", "davidson") == printed
    assert alice.username.encode() not in text
    assert "attachment" in reply["Content-Disposition"]


@pytest.mark.parametrize(
    "config",
    [
        BoardConfig(),
        BoardConfig(TieModel.DAVIDSON, Covariance.CLUSTERED, 0.9, True, 30, 1200.0, "an owl; rm -rf"),
    ],
)
def test_the_flags_of_a_board_give_its_configuration(config: BoardConfig) -> None:
    parser = load_command_class("apps.leaderboard", "leaderboard").create_parser("manage.py", "leaderboard")
    options = vars(parser.parse_args(["build", "votes.jsonl", *shlex.split(config_flags(config.as_dict()))]))
    assert config_of(options) == config
    assert set(OPTIONS) == set(config.as_dict())


def test_a_model_that_somebody_may_not_see_is_nowhere_named(client: Client, alice: User, votes: None) -> None:
    published(anchor="bug")
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bug").update(is_automatic=True)
    for path in OF_A_BOARD:
        assert b"bug" not in body_of(client.get(path))
    left = [json.loads(line) for line in votes_file(client).splitlines()]
    assert left
    assert all({vote["model_a"], vote["model_b"]} == {"ant", "cow"} for vote in left)
    assert "Your file has another one" in page_of(client)
    client.force_login(alice)
    for path in OF_A_BOARD:
        assert b"bug" in body_of(client.get(path))
    assert "Your file has another one" not in page_of(client)


def test_charlie_finds_no_board_of_a_private_arena(client: Client, charlie: User, arena: Arena, votes: None) -> None:
    published()
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    for path in ("/leaderboard/of/public", *OF_A_BOARD):
        assert client.get(path).status_code == 404


def test_where_visitors_may_not_chat_they_see_no_board(
    client: Client, alice: User, votes: None, settings: Settings
) -> None:
    published()
    settings.VISITORS_MAY_CHAT = False
    for path in OF_A_BOARD:
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"
    client.force_login(alice)
    for path in OF_A_BOARD:
        assert client.get(path).status_code == 200


def test_the_page_asks_the_database_as_often_for_many_rows(
    client: Client, votes: None, arena: Arena, three: list[Contestant]
) -> None:
    asked = []
    for _ in range(2):
        published()
        with CaptureQueriesContext(connection) as queries:
            client.get("/leaderboard")
        assert not any('"leaderboard_snapshot"."votes"' in query["sql"] for query in queries.captured_queries)
        asked.append((len(Snapshot.objects.latest("pk").board["rows"]), len(queries)))
        for name in ("dog", "eel", "fly"):
            model, _ = LanguageModel.objects.get_or_create(name=name)
            vote(three[0], Contestant.objects.get_or_create(arena=arena, name=name, defaults={"model": model})[0])
    assert [n_rows for n_rows, _ in asked] == [3, 6]
    assert asked[0][1] == asked[1][1]


def board_of_category(snapshot: Snapshot, category: str, *, is_styled: bool = False) -> None:
    style = [{"feature": "length", "points": 41.5, "lower": 30.0, "upper": 53.0}] if is_styled else []
    rows = snapshot.board["rows"][::-1]
    board = snapshot.board | {"rows": rows, "style": style}
    CategoryBoard.objects.create(snapshot=snapshot, category=category, is_styled=is_styled, board=board)


def test_categories_and_style_have_boards_of_their_own(client: Client, votes: None) -> None:
    published()
    snapshot = Snapshot.objects.get()
    CategoryBoard.objects.filter(snapshot=snapshot).delete()
    board_of_category(snapshot, "code")
    board_of_category(snapshot, "lang_fr")
    board_of_category(snapshot, "code", is_styled=True)
    page = page_of(client)
    assert all(text in page for text in ('href="?category=code"', "French", 'href="?style=controlled"'))
    code = page_of(client, "/leaderboard?category=code")
    assert 'href="?category=code&amp;sort=-rank#board"' in code
    assert "Trend</a>" not in code
    styled = page_of(client, "/leaderboard?category=code&style=controlled")
    assert all(text in styled for text in ("Rank as voted", "41.5", "30.0 to 53.0"))
    told = client.get("/leaderboard/of/public/board.json?category=code&style=controlled").json()
    assert (told["category"], told["style"][0]["points"]) == ("code", 41.5)
    first = next(csv.DictReader(io.StringIO(page_of(client, "/leaderboard/of/public/board.csv?category=code"))))
    assert first["name"] == snapshot.board["rows"][-1]["name"]


def test_a_board_that_there_is_not_says_so(client: Client, votes: None) -> None:
    published()
    assert "There is no such board" in page_of(client, "/leaderboard?category=nothing")
    assert client.get("/leaderboard/of/public/board.csv?category=nothing").status_code == 404
    assert client.get("/leaderboard/of/public/board.json?category=nothing&style=controlled").status_code == 404
    assert "There is no such board" in page_of(client, "/leaderboard?category=%00%ED%A0%80")
