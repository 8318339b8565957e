"""Pages of the arena over HTTP."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.forms import modelform_factory
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.actors import VISITOR_COOKIE, Actor
from apps.accounts.models import User
from apps.arena.admin import ContestantForm
from apps.arena.models import Arena, ArenaKind, Battle, Contestant, Position, Verdict
from apps.arena.services.battles import battle_send
from apps.arena.services.votes import vote_cast
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation
from tests.arena.support import FAILED, STOPPED, ended, fought, model_ready, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def models(arena: Arena) -> list[LanguageModel]:
    return [model_ready(name) for name in ("ant-7b", "bee-9b")]


@pytest.fixture
def alices_client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def page_data(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def html_of(client: Client, battle: Battle) -> str:
    reply = client.get(f"/arena/battles/{battle.public_id}")
    assert reply.status_code == 200
    assert "no-store" in reply["Cache-Control"]
    return reply.content.decode()


def test_a_new_visitor_gets_a_cookie_with_the_arena(client: Client, models: list[LanguageModel]) -> None:
    reply = client.get("/arena")
    assert reply.status_code == 200
    assert reply.cookies[VISITOR_COOKIE]["httponly"]
    data = page_data(reply.content.decode())
    assert (data["arena"], data["battle"], data["socket_path"]) == ("public", None, "/ws/arena")


def test_where_visitors_may_not_chat_they_are_led_to_sign_in(client: Client, arena: Arena, settings: Settings) -> None:
    settings.VISITORS_MAY_CHAT = False
    assert client.get("/arena")["Location"] == "/accounts/login/?next=/arena"


def test_side_by_side_offers_those_who_may_be_chosen(client: Client, models: list[LanguageModel]) -> None:
    Contestant.objects.filter(name="bee-9b").update(is_anonymous_only=True)
    model_ready("cow-1b")
    html = client.get("/arena/side-by-side").content.decode()
    assert set(re.findall(r'data-name="([^"]+)"', html)) == {"ant-7b", "cow-1b"}


def test_a_battle_shows_both_answers_without_names_until_the_vote(
    alices_client: Client, alices: Actor, models: list[LanguageModel]
) -> None:
    battle = ended(started(alices, "What <b>now</b>?"), texts=("An *answer*", "<script>alert(1)</script>"))
    html = html_of(alices_client, battle)
    assert "&lt;b&gt;now&lt;/b&gt;" in html
    assert "<em>answer</em>" in html
    assert "<script>alert" not in html
    assert "ant-7b" not in html
    assert "bee-9b" not in html
    assert page_data(html)["battle"] | {"id": ""} == {
        "id": "", "state": "ended", "error": None, "is_revealed": False, "names": None, "verdict": None,
        "counts": None, "reasons": [],
    }  # fmt: skip
    vote_cast(actor=alices, battle_id=battle.public_id, verdict=Verdict.B)
    told = page_data(html_of(alices_client, battle))["battle"]
    assert {name["name"] for name in told["names"]} == {"ant-7b", "bee-9b"}
    assert (told["verdict"], told["is_revealed"], told["counts"]) == ("b", True, True)


def test_an_answer_is_not_in_the_page_while_the_other_is_written(
    alices_client: Client, alices: Actor, models: list[LanguageModel]
) -> None:
    battle = ended(started(alices), texts=("The first answer.", "The second answer."))
    turn = battle_send(actor=alices, battle_id=battle.public_id, text="Two")
    turn.generations[0].message.content = "Half of what"
    turn.generations[0].message.save()
    html = html_of(alices_client, battle)
    assert "The first answer." in html
    assert "Half of what" not in html
    assert page_data(html)["battle"]["state"] == "running"


def test_of_answers_that_were_stopped_as_much_is_seen_of_the_one_as_of_the_other(
    alices_client: Client, alices: Actor, models: list[LanguageModel]
) -> None:
    html = html_of(alices_client, ended(started(alices), STOPPED, STOPPED, texts=("Quick, and on and on", "Slow")))
    assert "Quic" in html
    assert "Quick" not in html


def test_a_battle_is_found_again_among_the_latest(
    alices_client: Client, alices: Actor, charlie: User, models: list[LanguageModel]
) -> None:
    battle = started(alices, "Where was <i>I</i>?").battle
    html = alices_client.get("/arena").content.decode()
    assert f'<a href="/arena/battles/{battle.public_id}">Where was &lt;i&gt;I&lt;/i&gt;?</a>' in html
    charlies_client = Client()
    charlies_client.force_login(charlie)
    assert str(battle.public_id) not in charlies_client.get("/arena").content.decode()


def test_a_battle_without_its_texts_says_so(alices_client: Client, alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    Conversation.objects.filter(side__battle=battle).first().delete()  # type: ignore[union-attr]
    data = page_data(html_of(alices_client, battle))["battle"]
    assert (data["state"], data["error"]["code"]) == ("failed", "arena.erased")


def test_a_contestant_without_an_arena_is_refused_in_the_admin(models: list[LanguageModel]) -> None:
    form = modelform_factory(Contestant, form=ContestantForm, fields=["arena", "targets"])
    assert "arena" in form({"targets": [Contestant.objects.first().pk]}).errors  # type: ignore[union-attr]


def test_an_arena_keeps_its_name_in_addresses_once_it_has_battles(
    admin_client: Client, alices: Actor, arena: Arena, models: list[LanguageModel]
) -> None:
    page = f"/admin/arena/arena/{arena.pk}/change/"
    assert 'name="slug"' in admin_client.get(page).content.decode()
    fought(alices)
    assert 'name="slug"' not in admin_client.get(page).content.decode()


@pytest.mark.parametrize("ahead", [timedelta(days=1), None, timedelta(days=-1)])
def test_retiring_is_at_once_also_if_a_later_time_was_set(
    admin_client: Client, models: list[LanguageModel], ahead: timedelta | None
) -> None:
    given = None if ahead is None else timezone.now() + ahead
    Contestant.objects.filter(name="ant-7b").update(retired_at=given)
    ant = Contestant.objects.get(name="ant-7b")
    admin_client.post("/admin/arena/contestant/", {"action": "retire", "_selected_action": [ant.pk]})
    ant.refresh_from_db()
    assert ant.retired_at is not None
    assert ant.retired_at <= timezone.now()
    assert (ant.retired_at == given) is (ahead is not None and ahead < timedelta(0))


def test_a_vote_that_was_only_looked_at_is_nobody_s_decision(
    admin_client: Client, alices: Actor, models: list[LanguageModel]
) -> None:
    vote = vote_cast(actor=alices, battle_id=fought(alices).public_id, verdict=Verdict.A)
    page = f"/admin/arena/vote/{vote.pk}/change/"
    assert admin_client.post(page, {"overruled": "", "overruled_why": ""}).status_code == 302
    vote.refresh_from_db()
    assert (vote.overruled_at, vote.overruled_by) == (None, None)
    admin_client.post(page, {"overruled": "not_counted", "overruled_why": "a test"})
    vote.refresh_from_db()
    decided_at = vote.overruled_at
    assert decided_at is not None
    admin_client.post(page, {"overruled": "not_counted", "overruled_why": "a test"})
    vote.refresh_from_db()
    assert vote.overruled_at == decided_at


@pytest.mark.parametrize("position", list(Position))
def test_the_texts_of_a_battle_are_deleted_together(
    alices: Actor, models: list[LanguageModel], position: Position
) -> None:
    """With one alone the other would be kept where nobody is shown it any more."""
    battle, other = fought(alices), fought(alices)
    Conversation.objects.get(side__battle=battle, side__position=position).delete()
    assert set(Conversation.objects.values_list("side__battle", flat=True)) == {other.pk}
    assert battle.sides.filter(conversation=None).count() == 2


def test_a_battle_that_failed_says_so_and_not_who(
    alices_client: Client, alices: Actor, models: list[LanguageModel]
) -> None:
    data = page_data(html_of(alices_client, ended(started(alices), FAILED)))["battle"]
    assert (data["state"], data["error"]["code"]) == ("failed", "arena.side_failed")


def test_the_number_of_queries_does_not_grow_with_the_battle(
    alices_client: Client, alices: Actor, models: list[LanguageModel], django_assert_max_num_queries: Any
) -> None:
    battle = fought(alices)
    for number in range(8):
        ended(battle_send(actor=alices, battle_id=battle.public_id, text=f"Turn {number}"))
    with django_assert_max_num_queries(16):
        html_of(alices_client, battle)


def test_charlie_finds_no_page_of_alice_s_battle(alices: Actor, charlie: User, models: list[LanguageModel]) -> None:
    url = f"/arena/battles/{fought(alices).public_id}"
    client = Client()
    assert client.get(url).status_code == 404
    client.force_login(charlie)
    assert client.get(url).status_code == 404
    assert client.get(f"/arena/battles/{uuid4()}").status_code == 404


def test_a_private_arena_has_a_page_for_its_members_alone(alice: User, alices_client: Client, arena: Arena) -> None:
    own = Arena.objects.create(slug="own", name="Our own", kind=ArenaKind.PRIVATE)
    assert alices_client.get("/arena/of/own").status_code == 404
    own.members.add(alice)
    assert "Our own" in alices_client.get("/arena/of/own").content.decode()
    assert "Our own" not in Client().get("/arena").content.decode()


def test_the_rules_say_what_is_kept(client: Client) -> None:
    html = client.get("/arena/rules").content.decode()
    assert "What is kept" in html
    assert "at most 50 turns" in html


def test_addresses_of_battles_tell_nothing(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    assert isinstance(battle.public_id, UUID)
    assert battle.public_id.version == 4
