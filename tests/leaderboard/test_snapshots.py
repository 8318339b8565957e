"""Boards of the site's own votes: which votes count, what is published, made again, exported, and shown to whom."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.sites import site
from django.core.management import CommandError
from django.test import Client, RequestFactory

from apps.accounts.models import User
from apps.arena.models import Arena, Contestant, Integrity, Verdict, Vote
from apps.leaderboard.errors import NoBattles
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.votes import votes_text
from tests.leaderboard.support import command, vote

pytestmark = pytest.mark.django_db


def lines(arena: Arena) -> list[dict[str, Any]]:
    return [json.loads(line) for line in votes_text(arena).splitlines()]


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
