"""The page of one model: its card, its way, its opponents, and for whom it is."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Contestant, Verdict
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.models import DailyRating
from tests.leaderboard.support import published, vote

pytestmark = pytest.mark.django_db


def address(contestant: Contestant) -> str:
    return f"/leaderboard/of/public/models/{contestant.public_id}"


def page_of(client: Client, contestant: Contestant) -> str:
    reply = client.get(address(contestant))
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_board_leads_to_the_card_of_each_model(client: Client, three: list[Contestant], votes: None) -> None:
    LanguageModel.objects.filter(name="ant").update(description="Small and busy.", output_price="1.5")
    published()
    assert f'href="{address(three[0])}"' in client.get("/leaderboard").content.decode()
    page = page_of(client, three[0])
    assert all(text in page for text in ("ant lab", "MIT", "Small and busy.", "1.5 of answers", "Rating by day"))


def test_opponents_are_told_from_its_own_side(client: Client, three: list[Contestant]) -> None:
    ant, bug, cow = three
    for a, b, verdict in ((ant, bug, Verdict.A), (bug, ant, Verdict.A), (bug, ant, Verdict.B), (bug, cow, Verdict.TIE)):
        vote(a, b, verdict)
    vote(cow, bug)
    vote(bug, cow)
    published(min_battles=1)
    rows = page_of(client, bug).split("<tbody>")
    against = next(part for part in rows if 'dir="auto">ant</th>' in part)
    cells = against.split('dir="auto">ant</th>')[1].split("</tr>")[0]
    assert cells.startswith("<td>3</td><td>1</td><td>2</td><td>0</td><td>")


def test_a_model_without_votes_has_a_card_that_says_so(client: Client, three: list[Contestant]) -> None:
    assert "it is on no board yet" in page_of(client, three[0])


def test_its_way_is_drawn_from_the_second_day_on(client: Client, three: list[Contestant], votes: None) -> None:
    published()
    assert "<polyline" not in page_of(client, three[0])
    DailyRating.objects.update(day=DailyRating.objects.latest("day").day - timedelta(days=2))
    vote(three[0], three[1])
    published()
    assert "<polyline" in page_of(client, three[0])


def test_nobody_finds_a_model_that_is_not_for_them(client: Client, alice: User, three: list[Contestant]) -> None:
    ant, bug, _ = three
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bug").update(is_automatic=True)
    for _ in range(12):
        vote(ant, bug)
        vote(bug, ant)
    published()
    assert client.get(address(bug)).status_code == 404
    assert "bug" not in page_of(client, ant)
    assert client.get(f"/leaderboard/of/public/models/{uuid4()}").status_code == 404
    client.force_login(alice)
    assert "bug" in page_of(client, ant)
    assert client.get(address(bug)).status_code == 200


def test_a_deleted_model_stays_as_public_as_it_was(client: Client, alice: User, three: list[Contestant]) -> None:
    ant, bug, cow = three
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(pk__in=[bug.pk, cow.pk]).update(is_automatic=True)
    for a, b in ((ant, bug), (bug, ant), (ant, cow), (cow, ant)) * 6:
        vote(a, b)
    published()
    LanguageModel.objects.filter(name__in=["bug", "cow"]).delete()
    assert client.get(address(bug)).status_code == 404
    assert client.get(address(cow)).status_code == 200


def test_charlie_finds_no_model_of_a_private_arena(
    client: Client, charlie: User, arena: Arena, three: list[Contestant]
) -> None:
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    assert client.get(address(three[0])).status_code == 404


def test_where_visitors_may_not_chat_they_see_no_model(
    client: Client, three: list[Contestant], settings: Settings
) -> None:
    settings.VISITORS_MAY_CHAT = False
    assert client.get(address(three[0]))["Location"].startswith("/accounts/login/")
