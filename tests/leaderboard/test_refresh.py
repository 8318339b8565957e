"""Boards that keep themselves up to date."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Arena, Contestant, Integrity, Vote
from apps.arena.services.votes import vote_overrule
from apps.leaderboard import chart_services
from apps.leaderboard.models import Chart, Refresh, Snapshot
from apps.leaderboard.refresh import board_refresh
from apps.leaderboard.tallies import IN_FULL_AFTER
from apps.leaderboard.tasks import board_refresh_task, boards_refresh_task
from tests.leaderboard.support import command, vote, while_rating

pytestmark = pytest.mark.django_db


def made(arena: Arena) -> bool:
    """Whether a refresh makes a new board."""
    outcome = board_refresh(arena)
    assert outcome is not None
    return outcome.snapshot is not None


def test_the_first_board_comes_by_itself_with_its_charts(client: Client, arena: Arena, votes: None) -> None:
    board_refresh_task(arena.pk)
    assert Snapshot.objects.get().n_votes == 40
    assert Chart.objects.exists()
    assert "40 votes" in client.get("/leaderboard").content.decode()


def test_new_votes_make_a_new_board_with_the_old_configuration(
    arena: Arena, three: list[Contestant], votes: None
) -> None:
    command("build", "--min-battles", "3", "--ties", "davidson")
    assert not made(arena)
    vote(three[0], three[1])
    assert made(arena)
    newest = Snapshot.objects.latest("pk")
    assert newest.n_votes == 41
    assert (newest.config["min_battles"], newest.config["tie_model"]) == (3, "davidson")


def test_without_new_votes_no_vote_is_read(arena: Arena, votes: None) -> None:
    assert made(arena)
    with CaptureQueriesContext(connection) as asked:
        assert not made(arena)
    of_votes = [query["sql"] for query in asked.captured_queries if '"arena_vote"' in query["sql"]]
    assert len(of_votes) == 1
    assert of_votes[0].endswith("LIMIT 1")


def test_a_decision_about_an_old_vote_makes_a_new_board(arena: Arena, votes: None, admin_user: User) -> None:
    assert made(arena)
    decided = Vote.objects.earliest("pk")
    vote_overrule(vote=decided, decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user)
    assert made(arena)
    assert Snapshot.objects.latest("pk").n_votes == 39


def test_a_decision_that_is_stored_while_a_board_is_made_is_in_the_next_one(
    arena: Arena, three: list[Contestant], votes: None, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is of before the board was begun, as that of a page that waited."""
    assert made(arena)
    decided, before = Vote.objects.earliest("pk"), timezone.now() - timedelta(seconds=30)

    def decide() -> None:
        vote_overrule(vote=decided, decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user)
        Vote.objects.filter(pk=decided.pk).update(overruled_at=before)

    vote(three[0], three[1])
    while_rating(monkeypatch, decide)
    assert made(arena)
    assert Snapshot.objects.latest("pk").n_votes == 41
    assert made(arena)
    assert Snapshot.objects.latest("pk").n_votes == 40
    assert not made(arena)


def test_whatever_changes_about_old_votes_makes_a_new_board(arena: Arena, three: list[Contestant], votes: None) -> None:
    assert made(arena)
    Vote.objects.filter(pk=Vote.objects.earliest("pk").pk).update(weight=0.5)
    assert made(arena)
    Contestant.objects.filter(pk=three[0].pk).update(name="auk")
    assert made(arena)
    assert "auk" in {row["name"] for row in Snapshot.objects.latest("pk").board["rows"]}


def test_once_a_day_the_board_is_made_in_any_case(arena: Arena, alice: User, votes: None) -> None:
    assert made(arena)
    alice.delete()
    assert not made(arena)
    Refresh.objects.update(tried_at=timezone.now() - IN_FULL_AFTER - timedelta(minutes=1))
    assert made(arena)


def test_a_refusal_keeps_the_old_board_and_says_so_in_the_admin(
    admin_client: Client, arena: Arena, votes: None, admin_user: User
) -> None:
    assert made(arena)
    for one in Vote.objects.all():
        vote_overrule(vote=one, decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user)
    assert not made(arena)
    refresh = Refresh.objects.get()
    assert refresh.refusal_code.startswith("leaderboard.")
    assert refresh.busy_until is None
    assert Snapshot.objects.count() == 1
    assert refresh.refusal in admin_client.get("/admin/leaderboard/refresh/").content.decode()
    Vote.objects.update(overruled="", overruled_at=timezone.now())
    assert not made(arena)  # the same votes as those of the board that there is
    assert Refresh.objects.get().refusal == ""


def test_two_at_once_make_one_board_and_one_that_died_is_in_nobodys_way(arena: Arena, votes: None) -> None:
    Refresh.objects.create(arena=arena, busy_until=timezone.now() + timedelta(minutes=5))
    assert board_refresh(arena) is None
    Refresh.objects.update(busy_until=timezone.now() - timedelta(minutes=5))
    assert made(arena)


def test_a_board_that_an_admin_builds_meanwhile_stays_with_its_options(
    arena: Arena, three: list[Contestant], votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(arena)
    vote(three[0], three[1])
    while_rating(monkeypatch, lambda: command("build", "--min-battles", "3"))
    assert not made(arena)
    assert Snapshot.objects.latest("pk").config["min_battles"] == 3
    vote(three[0], three[1])
    assert made(arena)
    assert Snapshot.objects.latest("pk").config["min_battles"] == 3


def test_whoever_was_taken_for_gone_leaves_the_claim_of_the_next_one(
    arena: Arena, votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another = timezone.now() + timedelta(minutes=59)
    while_rating(monkeypatch, lambda: Refresh.objects.update(busy_until=of_another))
    assert made(arena)
    assert Refresh.objects.get().busy_until == of_another


def test_a_fault_of_ours_frees_the_board_for_the_next_try(
    arena: Arena, votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(spec: object) -> str:
        raise ValueError("no canvas")

    with monkeypatch.context() as patch:
        patch.setattr(chart_services, "draw", broken)
        with pytest.raises(ValueError, match="no canvas"):
            board_refresh(arena)
    assert Snapshot.objects.count() == 1
    outcome = board_refresh(arena)
    assert outcome is not None
    assert outcome.n_charts == Chart.objects.count() > 0


def test_the_sweep_sends_a_job_for_each_arena(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Arena.objects.create(slug="other", name="Other")
    sent: list[int] = []
    monkeypatch.setattr(board_refresh_task, "apply_async", lambda args, expires: sent.append(args[0]))
    assert boards_refresh_task() == 2
    assert sorted(sent) == sorted([arena.pk, other.pk])
