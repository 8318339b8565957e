"""Boards of the site's own votes: which votes count, what is published, made again, exported, and shown to whom."""

import csv
import io
import json
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.sites import site
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Battle, Contestant, Integrity, Position, Side, Verdict, Vote
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.errors import NoBattles
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.votes import votes_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena() -> Arena:
    return Arena.objects.get()


@pytest.fixture
def three(arena: Arena) -> list[Contestant]:
    names = ("ant", "bee", "cow")
    models = [LanguageModel.objects.create(name=name, organisation=f"{name} lab", licence="MIT") for name in names]
    return [
        Contestant.objects.get_or_create(arena=arena, name=model.name, defaults={"model": model})[0] for model in models
    ]


def vote(
    a: Contestant, b: Contestant, verdict: Verdict = Verdict.A, *, user: User | None = None, **fields: Any
) -> Vote:
    battle_fields = {"is_anonymous": fields.pop("is_anonymous", True)}
    battle = Battle.objects.create(arena=a.arena, user=user, **battle_fields)
    for position, contestant in ((Position.A, a), (Position.B, b)):
        Side.objects.create(battle=battle, position=position, contestant=contestant)
    return Vote.objects.create(battle=battle, verdict=verdict, n_turns=1, **fields)


@pytest.fixture
def votes(three: list[Contestant], alice: User, bob: User) -> None:
    random = Random(4)
    for _ in range(40):
        a, b = random.sample(three, 2)
        vote(a, b, random.choice(list(Verdict)), user=random.choice([alice, bob, None]))


def lines(arena: Arena) -> list[dict[str, Any]]:
    return [json.loads(line) for line in votes_text(arena).splitlines()]


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("leaderboard", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_only_blind_votes_that_count_enter_and_with_their_weight(arena: Arena, three: list[Contestant]) -> None:
    ant, bee, _ = three
    vote(ant, bee, weight=0.25)
    vote(ant, bee, is_anonymous=False)
    vote(ant, bee, integrity=Integrity.NOT_COUNTED)
    vote(ant, bee, overruled=Integrity.NOT_COUNTED)
    vote(bee, ant, Verdict.BOTH_BAD, integrity=Integrity.NOT_COUNTED, weight=0.25, overruled=Integrity.COUNTED)
    assert lines(arena) == [
        {"model_a": "ant", "model_b": "bee", "winner": "model_a", "weight": 0.25},
        {"model_a": "bee", "model_b": "ant", "winner": "tie (bothbad)", "weight": 1.0},
    ]


def test_voters_are_numbers_and_nothing_of_them_is_in_the_text(
    arena: Arena, three: list[Contestant], alice: User, bob: User
) -> None:
    for user in (bob, alice, bob):
        vote(three[0], three[1], user=user)
    assert sorted(row["judge"] for row in lines(arena)) in (
        ["voter-1", "voter-1", "voter-2"],
        ["voter-1", "voter-2", "voter-2"],
    )
    assert alice.username.encode() not in votes_text(arena)


def test_a_board_is_made_again_from_its_row_alone(arena: Arena, votes: None) -> None:
    snapshot, is_new = snapshot_build(arena, BoardConfig(covariance=Covariance.CLUSTERED))
    Vote.objects.update(overruled=Integrity.NOT_COUNTED)
    stored = Snapshot.objects.get(pk=snapshot.pk)
    verified = snapshot_verify(stored)
    assert is_new
    assert (verified.is_right, verified.has_this_code) == (True, True)
    stored.board["rows"][0]["rating"] += 0.001
    assert not snapshot_verify(stored).has_its_numbers
    stored.votes_hash = "0" * 64
    assert not snapshot_verify(stored).has_its_votes


def test_nothing_new_makes_no_new_board_and_a_vote_does(arena: Arena, three: list[Contestant], votes: None) -> None:
    first, _ = snapshot_build(arena, BoardConfig())
    assert snapshot_build(arena, BoardConfig()) == (first, False)
    assert snapshot_build(arena, BoardConfig(min_battles=2))[1]
    vote(three[0], three[1])
    assert snapshot_build(arena, BoardConfig(min_battles=2))[1]
    assert Snapshot.objects.count() == 3


def test_a_refusal_keeps_the_old_board(arena: Arena, votes: None) -> None:
    kept, _ = snapshot_build(arena, BoardConfig())
    Vote.objects.update(overruled=Integrity.NOT_COUNTED)
    with pytest.raises(NoBattles):
        snapshot_build(arena, BoardConfig())
    assert Snapshot.objects.get() == kept


def test_the_commands_build_list_verify_and_export_what_a_file_build_reads(votes: None, tmp_path: Path) -> None:
    printed = command("build", "--json")
    public_id = str(Snapshot.objects.get().public_id)
    assert public_id in command("list")
    assert "40 votes give the same numbers" in command("verify", public_id)
    exported = tmp_path / "votes.jsonl"
    exported.write_text(command("export", public_id))
    assert command("build", str(exported), "--json") == printed


def test_a_changed_board_is_found_out_by_the_command(votes: None) -> None:
    command("build")
    snapshot = Snapshot.objects.get()
    Snapshot.objects.update(board=snapshot.board | {"n_battles": 41})
    with pytest.raises(CommandError, match="not those that its votes give"):
        command("verify", str(snapshot.public_id))
    with pytest.raises(CommandError, match="no such board"):
        command("verify", str(uuid4()))
    with pytest.raises(CommandError, match="no arena"):
        command("build", "--arena", "nowhere")
    with pytest.raises(CommandError, match="are for a FILE"):
        command("build", "--strict")


def test_the_page_shows_the_board_and_sorts_it(client: Client, votes: None) -> None:
    assert "There is no board yet" in client.get("/leaderboard").content.decode()
    assert client.get("/leaderboard/of/public/board.csv").status_code == 404
    command("build")
    page = client.get("/leaderboard").content.decode()
    assert all(text in page for text in ("ant lab", "MIT", "40 votes", 'aria-sort="ascending"'))
    by_name = client.get("/leaderboard?sort=name").content.decode()
    assert by_name.index("ant lab") < by_name.index("bee lab") < by_name.index("cow lab")
    assert client.get("/leaderboard?sort=password").status_code == 200


def test_downloads_hold_the_rows_of_the_page(client: Client, votes: None) -> None:
    command("build")
    rows = list(csv.DictReader(io.StringIO(client.get("/leaderboard/of/public/board.csv").content.decode())))
    told = client.get("/leaderboard/of/public/board.json").json()
    assert [row["name"] for row in rows] == [row["name"] for row in told["rows"]]
    assert {row["name"] for row in rows} == {"ant", "bee", "cow"}
    assert told["votes_hash"] == Snapshot.objects.get().votes_hash


def test_a_name_that_is_a_formula_is_text_in_the_csv(client: Client, arena: Arena, three: list[Contestant]) -> None:
    Contestant.objects.filter(pk=three[0].pk).update(name="=1+1", is_automatic=False)
    three[0].refresh_from_db()
    vote(three[0], three[1])
    vote(three[1], three[0])
    command("build")
    assert "'=1+1" in client.get("/leaderboard/of/public/board.csv").content.decode()


def test_a_model_that_somebody_may_not_see_is_not_named(client: Client, alice: User, votes: None) -> None:
    command("build")
    LanguageModel.objects.filter(name="bee").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bee").update(is_automatic=True)
    for path in ("/leaderboard", "/leaderboard/of/public/board.csv", "/leaderboard/of/public/board.json"):
        assert b"bee" not in client.get(path).content
    client.force_login(alice)
    assert b"bee" in client.get("/leaderboard").content


def test_charlie_finds_no_board_of_a_private_arena(client: Client, charlie: User, arena: Arena, votes: None) -> None:
    command("build")
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    for path in ("/leaderboard", "/leaderboard/of/public", "/leaderboard/of/public/board.csv"):
        assert client.get(path).status_code == 404


def test_the_page_asks_the_database_as_often_for_many_rows(client: Client, votes: None, arena: Arena) -> None:
    command("build")
    with CaptureQueriesContext(connection) as asked:
        client.get("/leaderboard")
    assert len(asked) <= 6
    assert not any('"leaderboard_snapshot"."votes"' in query["sql"] for query in asked.captured_queries)


def test_the_admin_shows_boards_and_changes_none(votes: None, admin_client: Client, admin_user: User) -> None:
    command("build")
    snapshot = Snapshot.objects.get()
    address = f"/admin/leaderboard/snapshot/{snapshot.pk}/change/"
    assert admin_client.get("/admin/leaderboard/snapshot/").status_code == 200
    assert snapshot.votes_hash in admin_client.get(address).content.decode()
    assert admin_client.post(address, {"n_votes": 0}).status_code == 403
    request = RequestFactory().get("/")
    request.user = admin_user
    assert not site.get_model_admin(Snapshot).has_delete_permission(request)
