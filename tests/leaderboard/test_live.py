"""Ratings that move with each vote."""

import pytest
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Contestant, Integrity, Verdict, Vote
from apps.arena.services.votes import vote_overrule
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.models import LiveRating
from apps.leaderboard.rating.elo import online_elo
from tests.leaderboard.support import vote

pytestmark = pytest.mark.django_db

PAGE, JSON = "/leaderboard/of/public/live", "/leaderboard/of/public/live.json"


def ratings() -> dict[str, float]:
    return dict(LiveRating.objects.values_list("contestant__name", "rating"))


def test_each_vote_moves_both_as_fastchats_formula_does(three: list[Contestant]) -> None:
    ant, bug, cow = three
    vote(ant, bug)
    assert ratings() == {"ant": 1002.0, "bug": 998.0}
    vote(bug, cow, Verdict.BOTH_BAD)
    vote(cow, ant, Verdict.B)
    expected = online_elo([("ant", "bug", 1.0), ("bug", "cow", 0.5), ("cow", "ant", 0.0)])
    assert ratings() == pytest.approx(expected, abs=1e-12)
    assert dict(LiveRating.objects.values_list("contestant__name", "n_votes")) == {"ant": 2, "bug": 2, "cow": 2}


def test_a_vote_that_does_not_count_or_was_not_blind_moves_nothing(three: list[Contestant]) -> None:
    ant, bug, _ = three
    vote(ant, bug, integrity=Integrity.NOT_COUNTED)
    vote(ant, bug, is_anonymous=False)
    assert ratings() == {}


def test_a_vote_that_weighs_less_moves_less(three: list[Contestant]) -> None:
    vote(three[0], three[1], weight=0.25)
    assert ratings() == {"ant": 1000.5, "bug": 999.5}


def test_what_is_decided_later_changes_nothing(three: list[Contestant], admin_user: User) -> None:
    vote(three[0], three[1])
    before = ratings()
    vote_overrule(vote=Vote.objects.get(), decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user)
    assert ratings() == before


def test_the_page_says_what_its_numbers_depend_on(client: Client, three: list[Contestant]) -> None:
    assert "No vote has come yet" in client.get(PAGE).content.decode()
    vote(three[0], three[1])
    page = client.get(PAGE).content.decode()
    assert "depend on the order" in page
    assert page.index("1002.0") < page.index("998.0")
    assert [row["name"] for row in client.get(JSON).json()["rows"]] == ["ant", "bug"]


def test_a_model_that_somebody_may_not_see_is_not_named(client: Client, alice: User, three: list[Contestant]) -> None:
    vote(three[0], three[1])
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bug").update(is_automatic=True)
    for path in (PAGE, JSON):
        assert b"bug" not in client.get(path).content
    client.force_login(alice)
    for path in (PAGE, JSON):
        assert b"bug" in client.get(path).content


def test_strangers_and_visitors_see_what_they_see_of_the_board(
    client: Client, charlie: User, arena: Arena, settings: Settings
) -> None:
    settings.VISITORS_MAY_CHAT = False
    for path in (PAGE, JSON):
        assert client.get(path)["Location"].startswith("/accounts/login/")
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    for path in (PAGE, JSON):
        assert client.get(path).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_vote_that_comes_without_a_transaction_moves_both() -> None:
    arena = Arena.objects.create(slug="scripted", name="Scripted")
    ant, bug = (Contestant.objects.create(arena=arena, name=name) for name in ("ant", "bug"))
    vote(ant, bug)
    assert ratings() == {"ant": 1002.0, "bug": 998.0}
