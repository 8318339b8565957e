"""Boards of the site's own votes: which votes count, what is published, made again, exported, and shown to whom."""

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.sites import site
from django.core.management import CommandError
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.arena.models import Arena, Battle, Contestant, Integrity, Position, Side, Verdict, Vote
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.errors import NoBattles
from apps.leaderboard.models import Snapshot, VoteTraits
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.traits import traits_write
from apps.leaderboard.votes import votes_lines, votes_pack, votes_read, votes_text
from tests.leaderboard.support import command, published, vote

pytestmark = pytest.mark.django_db


def text_of(arena: Arena) -> bytes:
    traits_write(arena)
    return votes_text(arena)


def lines(arena: Arena) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of(arena).splitlines()]


def test_only_blind_votes_that_count_enter_and_with_their_weight(arena: Arena, three: list[Contestant]) -> None:
    ant, bug, _ = three
    vote(ant, bug, weight=0.25)
    vote(ant, bug, is_anonymous=False)
    vote(ant, bug, integrity=Integrity.NOT_COUNTED)
    vote(ant, bug, overruled=Integrity.NOT_COUNTED)
    vote(bug, ant, Verdict.BOTH_BAD, integrity=Integrity.NOT_COUNTED, weight=0.25, overruled=Integrity.COUNTED)
    assert lines(arena) == [
        {"model_a": "ant", "model_b": "bug", "winner": "model_a", "weight": 0.25, "categories": []},
        {"model_a": "bug", "model_b": "ant", "winner": "tie (bothbad)", "weight": 1.0, "categories": []},
    ]


def test_of_many_votes_the_lines_alone_are_held(arena: Arena, three: list[Contestant], alice: User) -> None:
    n = 3_000
    battles = Battle.objects.bulk_create(Battle(arena=arena, user=alice, prompt_digest="5a" * 32) for _ in range(n))
    Side.objects.bulk_create(
        Side(battle=battle, position=position, contestant=contestant)
        for battle in battles
        for position, contestant in zip(Position, three[:2], strict=True)
    )
    cast = Vote.objects.bulk_create(Vote(battle=battle, verdict=Verdict.A, n_turns=1) for battle in battles)
    counts = [120.0, 1.0, 2.0, 3.0]
    VoteTraits.objects.bulk_create(
        VoteTraits(vote=one, categories=["code", "lang_en"], style_a=counts, style_b=counts) for one in cast
    )
    tracemalloc.start()
    try:
        text = votes_text(arena)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.count(b"\n") == n
    assert peak_bytes < 6 * len(text)


def test_of_the_votes_of_a_board_a_piece_is_held_while_they_are_read() -> None:
    n, more = 15_000, "x" * 2_000
    line = '{{"model_a": "{}", "model_b": "cow", "winner": "tie", "n": {}, "more": "{}"}}\n'
    texts = ("".join(line.format(name, i, more) for i in range(n)) for name in ("ant", "bug"))
    base, own = (Snapshot(votes=votes_pack(text.encode())) for text in texts)
    own.base = base
    tracemalloc.start()
    try:
        assert sum(1 for _ in votes_lines(own)) == 2 * n
        _, peak_bytes_of_lines = tracemalloc.get_traced_memory()
        battles, _ = votes_read(votes_lines(own))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(battles) == 2 * n
    assert peak_bytes_of_lines < 2 * n * len(more) / 20
    assert peak_bytes < 2 * n * len(more) / 2


def test_voters_are_numbers_and_nothing_of_them_is_in_the_text(
    arena: Arena, three: list[Contestant], alice: User, bob: User
) -> None:
    for user in (bob, alice, bob):
        vote(three[0], three[1], user=user)
    assert sorted(row["judge"] for row in lines(arena)) in (
        ["voter-1", "voter-1", "voter-2"],
        ["voter-1", "voter-2", "voter-2"],
    )
    assert alice.username.encode() not in text_of(arena)


def test_the_votes_are_one_text_whoever_came_first(
    arena: Arena, three: list[Contestant], alice: User, bob: User
) -> None:
    def cast(first: User, second: User) -> bytes:
        VoteTraits.objects.all().delete()
        Vote.objects.all().delete()
        vote(three[0], three[1], user=first)
        vote(three[1], three[2], user=second)
        vote(three[2], three[0], user=second)
        return text_of(arena)

    assert cast(alice, bob) == cast(bob, alice)


def test_what_programs_vote_with_one_key_is_one_voters(arena: Arena, three: list[Contestant]) -> None:
    keys = [ApiKey.objects.create(name=name, prefix=name, digest=name) for name in ("one", "two")]
    for key in (keys[0], keys[0], keys[1], None):
        Battle.objects.filter(pk=vote(three[0], three[1]).battle_id).update(api_key=key)
    voters = [row.get("judge") for row in lines(arena)]
    assert sorted(Counter(voter for voter in voters if voter).values()) == [1, 2]
    assert voters.count(None) == 1


def test_names_that_nobody_can_print_are_no_reason_to_refuse_our_own_votes(
    arena: Arena, three: list[Contestant], tmp_path: Path
) -> None:
    Contestant.objects.filter(pk=three[0].pk).update(name="ant\u200d\u00a0\u00ad")
    for _ in range(10):
        vote(three[0], three[1])
        vote(three[1], three[0])
    printed = command("build", "--json")
    exported = tmp_path / "votes.jsonl"
    exported.write_text(command("export", str(Snapshot.objects.get().public_id)))
    assert "ant\u200d" in printed
    assert command("build", str(exported), "--json") == printed


def test_a_board_knows_its_pairs_and_whom_its_names_meant(arena: Arena, three: list[Contestant], votes: None) -> None:
    snapshot, _ = snapshot_build(arena, BoardConfig())
    assert {name: one["pk"] for name, one in snapshot.contestants.items()} == {one.name: one.pk for one in three}
    assert snapshot.pairs["names"] == ["ant", "bug", "cow"]
    assert [pair[:2] for pair in snapshot.pairs["pairs"]] == [[0, 1], [0, 2], [1, 2]]
    assert sum(sum(pair[2:]) for pair in snapshot.pairs["pairs"]) == 40


def test_last_digits_may_differ_and_nothing_else(arena: Arena, votes: None) -> None:
    snapshot, _ = snapshot_build(arena, BoardConfig())
    snapshot.board["rows"][0]["rating"] += 1e-8
    assert snapshot_verify(snapshot).is_right
    for change in (
        {"rating": snapshot.board["rows"][0]["rating"] + 1e-5},
        {"rank": 2},
        {"name": "another"},
        {"n_won": 0},
    ):
        other = copy(snapshot)
        other.board = {**snapshot.board, "rows": [snapshot.board["rows"][0] | change, *snapshot.board["rows"][1:]]}
        assert not snapshot_verify(other).is_right


@pytest.mark.parametrize(
    "change",
    [lambda packed: b"", lambda packed: packed[:-20], lambda packed: b"votes", lambda packed: votes_pack(b"{}\n")],
)
def test_votes_that_were_changed_are_told_as_that_before_they_are_rated(
    votes: None, change: Callable[[bytes], bytes]
) -> None:
    published()
    snapshot = Snapshot.objects.get()
    Snapshot.objects.update(votes=change(bytes(snapshot.votes)))
    with pytest.raises(CommandError, match="their bytes were changed"):
        command("verify", str(snapshot.public_id))


def test_nothing_is_rated_when_nothing_has_changed(arena: Arena, votes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot_build(arena, BoardConfig())
    monkeypatch.setattr("apps.leaderboard.services.boards_make", None)
    assert not snapshot_build(arena, BoardConfig())[1]


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
    published()
    snapshot = Snapshot.objects.get()
    Snapshot.objects.update(board=snapshot.board | {"n_battles": 41})
    with pytest.raises(CommandError, match="not those that its votes give"):
        command("verify", str(snapshot.public_id))
    with pytest.raises(CommandError, match="no such board"):
        command("verify", str(uuid4()))
    with pytest.raises(CommandError, match="no arena"):
        command("build", "--arena", "nowhere")
    with pytest.raises(CommandError, match="--strict is for a FILE"):
        command("build", "--strict")


def test_a_model_that_was_renamed_or_deleted_is_no_more_named_to_those_who_could_not_see_it(
    client: Client, alice: User, votes: None
) -> None:
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    published(anchor="bug")
    Contestant.objects.filter(name="bug").update(name="wasp")
    paths = ("/leaderboard", "/leaderboard/of/public/board.csv", "/leaderboard/of/public/board.json")
    assert all(b"bug" not in client.get(path).content for path in paths)
    client.force_login(alice)
    assert client.get(paths[2]).json()["config"]["anchor"] == "bug"
    assert "bug lab" in client.get("/leaderboard").content.decode()
    client.logout()
    LanguageModel.objects.filter(name__in=("bug", "cow")).delete()
    assert all(b"bug" not in client.get(path).content for path in paths)
    assert all(b"cow" in client.get(path).content for path in paths)


def test_who_retires_later_is_not_retired(client: Client, votes: None) -> None:
    published()
    Contestant.objects.filter(name="ant").update(retired_at=timezone.now() + timedelta(days=1))
    Contestant.objects.filter(name="bug").update(retired_at=timezone.now() - timedelta(days=1))
    rows = client.get("/leaderboard/of/public/board.json").json()["rows"]
    assert {row["name"]: row["is_retired"] for row in rows} == {"ant": False, "bug": True, "cow": False}


def test_lists_of_boards_read_none_of_what_is_large(votes: None, admin_client: Client) -> None:
    published()
    for reads in (lambda: command("list"), lambda: admin_client.get("/admin/leaderboard/snapshot/")):
        with CaptureQueriesContext(connection) as asked:
            reads()
        of_boards = " ".join(query["sql"] for query in asked.captured_queries if "n_votes" in query["sql"])
        assert of_boards
        for column in ("votes", "pairs", "contestants", "board"):
            assert f'"leaderboard_snapshot"."{column}"' not in of_boards


def test_the_admin_shows_boards_and_changes_none(votes: None, admin_client: Client, admin_user: User) -> None:
    published()
    snapshot = Snapshot.objects.get()
    address = f"/admin/leaderboard/snapshot/{snapshot.pk}/change/"
    assert admin_client.get("/admin/leaderboard/snapshot/").status_code == 200
    assert snapshot.votes_hash in admin_client.get(address).content.decode()
    assert admin_client.post(address, {"n_votes": 0}).status_code == 403
    request = RequestFactory().get("/")
    request.user = admin_user
    assert not site.get_model_admin(Snapshot).has_delete_permission(request)
