"""Battles with images: between two that see, and without a word that tells who of two cannot."""

import io

import pytest
from asgiref.sync import sync_to_async

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena.errors import ImageTooLate, NobodySees, SightLost
from apps.arena.models import Arena, Battle, Follows, Verdict
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.selectors import sides_get
from apps.arena.services.battles import battle_reveal, battle_send
from apps.arena.services.votes import vote_cast
from apps.catalog.errors import ModelSeesNothing
from apps.catalog.models import LanguageModel
from apps.conversations.errors import ImageNotFound
from apps.conversations.services.images import image_keep
from apps.moderation import selectors as moderation
from apps.moderation.models import Incident, Policy, Rule
from apps.workers.image_files import kept_file
from tests.arena.conftest import FOX, OWL, Opens
from tests.arena.support import FAILED, Two, ended, follow_up, fought, model_ready, started
from tests.gpu_worker.tiny_vision import picture

pytestmark = pytest.mark.django_db

SEEING = {"ant", "bee", "cow"}


@pytest.fixture
def zoo(arena: Arena) -> list[LanguageModel]:
    """Three that see and three that do not."""
    return [model_ready(name, sees_images=name in SEEING) for name in ("ant", "bee", "cow", "dog", "eel", "fox")]


def shown(actor: Actor, *, turned: bool = False) -> str:
    """A message with an image of the actor's."""
    file = io.BytesIO()
    picture(turned=turned).save(file, "PNG")
    image = image_keep(actor=actor, file=kept_file(file.getvalue(), "image/png"))
    return f"What is it? ![a slope](image:{image.public_id})"


def names(battle: Battle) -> set[str]:
    return {side.contestant.name for side in sides_get(battle)}


def test_a_battle_with_an_image_is_of_two_that_see(alices: Actor, zoo: list[LanguageModel]) -> None:
    text = shown(alices)
    met = [names(started(alices, text, seed=seed).battle) for seed in range(12)]
    assert all(two < SEEING for two in met)
    assert set.union(*met) == SEEING
    assert any(names(started(alices, seed=seed).battle) - SEEING for seed in range(12))


def test_without_two_that_see_there_is_no_battle_with_an_image(alices: Actor, zoo: list[LanguageModel]) -> None:
    LanguageModel.objects.exclude(name="ant").update(sees_images=False)
    with pytest.raises(NobodySees, match="two models that see"):
        started(alices, shown(alices))
    assert not Battle.objects.exists()


def test_a_new_opponent_and_a_rematch_see_too(alices: Actor, zoo: list[LanguageModel]) -> None:
    text = shown(alices)
    failed = ended(started(alices, text), FAILED)
    again = started(alices, text, **follow_up(failed, Follows.NEW_OPPONENT)).battle
    assert names(again) < SEEING
    battle = fought(alices)
    battle_reveal(actor=alices, battle_id=battle.public_id)
    LanguageModel.objects.filter(name__in=names(battle)).update(sees_images=False)
    with pytest.raises(NobodySees):
        started(alices, text, **follow_up(battle, Follows.REMATCH))


def test_a_battle_that_began_with_an_image_may_have_more(alices: Actor, zoo: list[LanguageModel]) -> None:
    battle = fought(alices, shown(alices))
    assert battle_send(actor=alices, battle_id=battle.public_id, text=shown(alices, turned=True)).number == 2


def test_who_of_two_has_lost_its_sight_is_not_told_before_the_vote(alices: Actor, zoo: list[LanguageModel]) -> None:
    battle = fought(alices, shown(alices))
    LanguageModel.objects.filter(name=min(names(battle))).update(sees_images=False)
    with pytest.raises(SightLost) as refused:
        battle_send(actor=alices, battle_id=battle.public_id, text="And now?")
    assert not any(name in refused.value.message for name in names(battle))
    vote_cast(actor=alices, battle_id=battle.public_id, verdict=Verdict.TIE)
    with pytest.raises(ModelSeesNothing, match=min(names(battle))):
        battle_send(actor=alices, battle_id=battle.public_id, text="And now?")


@pytest.mark.parametrize("sees", [True, False])
def test_a_blind_battle_without_images_is_told_the_same_whoever_fights_it(
    alices: Actor, zoo: list[LanguageModel], sees: bool
) -> None:
    LanguageModel.objects.update(sees_images=sees)
    battle = fought(alices)
    with pytest.raises(ImageTooLate) as refused:
        battle_send(actor=alices, battle_id=battle.public_id, text=shown(alices))
    assert not any(name in refused.value.message for name in names(battle))


def test_of_two_that_were_chosen_by_name_it_is_told_who_cannot_see(alices: Actor, zoo: list[LanguageModel]) -> None:
    started(alices)  # so that there are contestants
    by_name = {contestant.name: contestant.public_id for contestant in Arena.objects.get().contestants.all()}
    with pytest.raises(ModelSeesNothing, match="'eel' cannot see images"):
        started(alices, shown(alices), choice=(by_name["ant"], by_name["eel"]))


def test_nobody_brings_somebody_elses_image_into_a_battle(
    alices: Actor, charlies: Actor, zoo: list[LanguageModel]
) -> None:
    with pytest.raises(ImageNotFound):
        started(alices, shown(charlies))
    assert not Battle.objects.exists()


async def test_both_get_the_image_and_the_page_shows_it(opens: Opens, alice: User, two: Two) -> None:
    await LanguageModel.objects.filter(name__in=(OWL, FOX)).aupdate(sees_images=True)
    two.play("A slope.")
    text = await sync_to_async(shown)(Actor(user_id=alice.pk))
    async with opens(alice) as page:
        accepted = await page.ask(text)
        assert 'alt="a slope"' in accepted["html"]
        await page.until_ended()
    for worker in two.workers.values():
        [message] = worker.requests[0]["messages"]
        assert [part["type"] for part in message["content"]] == ["text", "image_url"]


@pytest.mark.django_db(transaction=True)
async def test_an_image_passes_the_arenas_own_gate(opens: Opens, alice: User, two: Two) -> None:
    await LanguageModel.objects.filter(name__in=(OWL, FOX)).aupdate(sees_images=True)
    await Rule.objects.acreate(name="House words", category="rude", kind="words", pattern="bother")
    await Policy.objects.acreate(surface="arena", action="refuse", category="image")
    text = await sync_to_async(shown)(Actor(user_id=alice.pk))
    moderation.forget()
    async with opens(alice) as page:
        frame = {"type": "battle.start", "ref": "r", "arena": DEFAULT_SLUG, "text": text}
        refused = await page.refused(frame | {"choice": None, "previous": None, "follows": None})
    moderation.forget()
    assert refused == "moderation.image_refused"
    incident = await Incident.objects.aget()
    assert (incident.surface, incident.categories) == ("arena", ["image"])
    assert not await Battle.objects.aexists()
