"""The transparency log: every change of how often a model is drawn, for ever, and to whom it is shown."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Contestant
from apps.arena.services.entries import contestant_retire
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.models import SamplingChange

pytestmark = pytest.mark.django_db

PAGE, JSON = "/leaderboard/of/public/log", "/leaderboard/of/public/log.json"


def weights_of(contestant: Contestant) -> list[tuple[float, float, bool]]:
    of_it = SamplingChange.objects.filter(contestant=contestant).order_by("pk")
    return list(of_it.values_list("weight", "boost", "is_available"))


def test_an_entry_and_each_change_of_its_sampling_are_logged(three: list[Contestant]) -> None:
    ant, bug, _ = three
    ant.weight, ant.boost = 3.0, 2.0
    ant.save()
    Contestant.objects.filter(pk=ant.pk).update(is_available=False)
    Contestant.objects.filter(pk=ant.pk).update(system_prompt="Be brief.", max_tokens=9)
    assert weights_of(ant) == [(1.0, 1.0, True), (3.0, 2.0, True), (3.0, 2.0, False)]
    assert weights_of(bug) == [(1.0, 1.0, True)]


def test_retirement_and_a_new_name_are_logged(three: list[Contestant]) -> None:
    ant = three[0]
    contestant_retire(ant)
    Contestant.objects.filter(pk=ant.pk).update(name="ant-2")
    entered, retired, renamed = SamplingChange.objects.filter(contestant=ant).order_by("pk")
    assert (entered.name, entered.retired_at) == ("ant", None)
    assert (retired.name, renamed.name) == ("ant", "ant-2")
    assert retired.retired_at == renamed.retired_at is not None


def test_nothing_of_the_log_can_be_changed_or_taken_away(three: list[Contestant]) -> None:
    for attempt in (SamplingChange.objects.all().delete, lambda: SamplingChange.objects.update(weight=0)):
        with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
            attempt()
    with pytest.raises(ProtectedError):
        three[0].delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Contestant.objects.filter(pk=three[0].pk)._raw_delete("default")
        SamplingChange.objects.filter(contestant=three[1]).exists()
        transaction.get_connection().check_constraints()


def test_the_page_and_its_json_tell_who_took_part_and_since_when(client: Client, three: list[Contestant]) -> None:
    ant, bug, cow = three
    Contestant.objects.filter(pk=ant.pk).update(weight=2.5)
    contestant_retire(bug)
    Contestant.objects.filter(pk=cow.pk).update(retired_at=timezone.now() + timedelta(days=1), is_available=True)
    page = client.get(PAGE).content.decode()
    assert all(text in page for text in ("ant lab", "2.5", "retired on", "takes part until"))
    told = {one["name"]: one for one in client.get(JSON).json()["contestants"]}
    assert [change["weight"] for change in told["ant"]["changes"]] == [1.0, 2.5]
    assert [change["retired_at"] is None for change in told["bug"]["changes"]] == [True, False]
    assert told["bug"]["id"] == str(bug.public_id)


@pytest.mark.parametrize(
    ("visibility", "seen_by"),
    [
        (Visibility.PUBLIC, {"visitor", "alice"}),
        (Visibility.MEMBERS, {"alice"}),
        (Visibility.HIDDEN, set()),
    ],
)
def test_a_model_that_was_deleted_stays_in_the_log_of_those_who_saw_it(
    client: Client, alice: User, three: list[Contestant], visibility: Visibility, seen_by: set[str]
) -> None:
    Contestant.objects.filter(name="ant").update(is_automatic=True)
    LanguageModel.objects.filter(name="ant").update(visibility=visibility)
    LanguageModel.objects.get(name="ant").delete()
    contestant_retire(three[0])
    found = set()
    if b'"ant"' in client.get(JSON).content:
        found.add("visitor")
    client.force_login(alice)
    if b'"ant"' in client.get(JSON).content:
        found.add("alice")
    assert found == seen_by


def test_a_model_that_somebody_may_not_see_is_not_in_their_log(
    client: Client, alice: User, three: list[Contestant]
) -> None:
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bug").update(is_automatic=True, weight=2)
    for path in (PAGE, JSON):
        assert b"bug" not in client.get(path).content
    client.force_login(alice)
    for path in (PAGE, JSON):
        assert b"bug" in client.get(path).content


def test_charlie_finds_no_log_of_a_private_arena(client: Client, charlie: User, arena: Arena) -> None:
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    for path in (PAGE, JSON):
        assert client.get(path).status_code == 404


def test_where_visitors_may_not_chat_they_see_no_log(client: Client, arena: Arena, settings: Settings) -> None:
    settings.VISITORS_MAY_CHAT = False
    for path in (PAGE, JSON):
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"


def test_the_page_shows_the_newest_changes_and_the_json_all(client: Client, three: list[Contestant]) -> None:
    for weight in range(1, 111):
        Contestant.objects.filter(pk=three[0].pk).update(weight=weight + 0.5)
    page = client.get(PAGE).content.decode()
    assert "110.5" in page
    assert "<td>10.5</td>" not in page
    assert "<td>11.5</td>" in page
    told = {one["name"]: one for one in client.get(JSON).json()["contestants"]}
    assert len(told["ant"]["changes"]) == 111
