"""Rules of battles: who may begin one, whom it brings together, how it goes on, and what follows it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User, Visitor
from apps.arena.errors import (
    AlreadyRevealed,
    ArenaClosed,
    ArenaNotFound,
    BattleFailed,
    BattleFollowed,
    BattleNotFound,
    BattleNotReady,
    BattleNotRevealed,
    BattleTooLong,
    BattleWhole,
    ChoiceMissing,
    ContestantUnknown,
    NoOpponents,
)
from apps.arena.models import Arena, ArenaKind, Battle, Contestant, Follows, Position, Side, Verdict, Vote
from apps.arena.pairing import gain
from apps.arena.selectors import arenas_visible, n_met, sides_get
from apps.arena.services.battles import MAX_TURNS, Opening, battle_reveal, battle_send, battle_start, battle_stop
from apps.arena.services.entries import contestant_retire
from apps.arena.services.votes import vote_cast
from apps.catalog.models import Kind, LanguageModel, Visibility
from apps.conversations.errors import ChatNotFound, EmptyMessage, MessageTooLong, SignInRequired
from apps.conversations.models import Conversation, Generation, Message, Purpose
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.conversations import conversation_get, generation_get_owned
from apps.conversations.selectors.history import history_list
from apps.conversations.selectors.reading import call_body, prompt_messages
from apps.core.errors import SiteError
from apps.workers.models import Worker
from tests.arena.support import COMPLETE, FAILED, STOPPED, ended, follow_up, fought, model_ready, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def models(arena: Arena) -> list[LanguageModel]:
    """Three contestants that are ready."""
    return [model_ready(name) for name in ("ant", "bee", "cow")]


def shown(actor: Actor, battle: Battle) -> Battle:
    """Its names are told without a vote."""
    return battle_reveal(actor=actor, battle_id=battle.public_id)


def names(battle: Battle) -> list[str]:
    return [side.contestant.name for side in sides_get(battle)]


# --- Beginning --------------------------------------------------------------------------------------------------------


def test_a_site_begins_with_an_arena_that_takes_every_model_that_writes(arena: Arena) -> None:
    model_ready("ant")
    model_ready("vectors", kind=Kind.EMBEDDING)
    assert arena.slug == "public"
    assert [contestant.name for contestant in arena.contestants.all()] == ["ant"]


def test_a_battle_gives_both_the_same_message(alices: Actor, models: list[LanguageModel]) -> None:
    turn = started(alices, "Who are you?")
    assert turn.battle.is_anonymous
    assert turn.number == 1
    assert len(set(names(turn.battle))) == 2
    for side, generation in zip(sides_get(turn.battle), turn.generations, strict=True):
        assert side.conversation is not None
        assert side.conversation.purpose == Purpose.BATTLE_SIDE
        prompt = prompt_messages(side.conversation.pk, before=generation.public_id)
        assert [message["content"] for message in prompt] == ["Who are you?"]
        assert generation.message.model == side.contestant.model


def test_which_of_the_two_is_a_is_drawn_by_lot(alices: Actor, arena: Arena) -> None:
    model_ready("ant")
    model_ready("bee")
    left = Counter(names(started(alices, seed=seed).battle)[0] for seed in range(40))
    assert min(left["ant"], left["bee"]) >= 8


def test_the_next_messages_go_to_both_with_what_was_said_before(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices, "One")
    turn = battle_send(actor=alices, battle_id=battle.public_id, text="Two")
    assert turn.number == 2
    prompts = [
        [m["content"] for m in prompt_messages(side.conversation.pk, before=generation.public_id)]  # type: ignore[union-attr]
        for side, generation in zip(sides_get(battle), turn.generations, strict=True)
    ]
    assert prompts == [["One", "Yes.", "Two"], ["One", "No.", "Two"]]


def test_a_message_waits_until_both_have_ended(alices: Actor, models: list[LanguageModel]) -> None:
    turn = started(alices)
    with pytest.raises(BattleNotReady):
        battle_send(actor=alices, battle_id=turn.battle.public_id, text="Two")
    assert Message.objects.filter(content="Two").count() == 0


def test_a_battle_has_at_most_fifty_turns(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    Battle.objects.filter(pk=battle.pk).update(n_turns=MAX_TURNS - 1)
    ended(battle_send(actor=alices, battle_id=battle.public_id, text="The last"))
    with pytest.raises(BattleTooLong):
        battle_send(actor=alices, battle_id=battle.public_id, text="One more")


@pytest.mark.parametrize(
    ("text", "error"), [("", EmptyMessage), (" \n", EmptyMessage), ("x" * 100_001, MessageTooLong)]
)
def test_a_text_that_is_no_message_begins_nothing(
    alices: Actor, models: list[LanguageModel], text: str, error: type[SiteError]
) -> None:
    with pytest.raises(error):
        started(alices, text)
    assert not Battle.objects.exists()


def test_a_visitor_gets_a_row_with_the_first_battle(models: list[LanguageModel], visitor: UUID) -> None:
    battle = started(Actor(visitor_public_id=visitor)).battle
    assert battle.visitor == Visitor.objects.get(public_id=visitor)
    assert battle.user is None


@pytest.mark.parametrize("who", ["nobody", "a visitor where none may chat", "somebody who was disabled"])
def test_whoever_may_not_chat_may_not_battle(
    models: list[LanguageModel], settings: Settings, alice: User, visitor: UUID, who: str
) -> None:
    settings.VISITORS_MAY_CHAT = False
    User.objects.filter(pk=alice.pk).update(is_active=False)
    actor = {"nobody": Actor(), "somebody who was disabled": Actor(user_id=alice.pk)}
    with pytest.raises(SignInRequired):
        started(actor.get(who, Actor(visitor_public_id=visitor)))


# --- Whom it brings together ------------------------------------------------------------------------------------------


def test_without_two_models_that_are_ready_there_is_no_battle(alices: Actor, arena: Arena) -> None:
    model_ready("ant")
    LanguageModel.objects.create(name="no worker has it")
    with pytest.raises(NoOpponents):
        started(alices)
    assert not Battle.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [{"is_available": False}, {"weight": 0}, {"retired_at": timezone.now()}],
    ids=["an outage", "weight 0", "retired"],
)
def test_who_is_out_meets_nobody(alices: Actor, arena: Arena, models: list[LanguageModel], fields: dict) -> None:  # type: ignore[type-arg]
    Contestant.objects.filter(name="cow").update(**fields)
    met = {frozenset(names(started(alices, seed=seed).battle)) for seed in range(12)}
    assert met == {frozenset({"ant", "bee"})}


@pytest.mark.parametrize(
    "fields", [{"is_drained": True}, {"is_leaving": True}, {"removed_at": timezone.now()}, {"rests_until": "later"}]
)
def test_a_model_whose_workers_take_nothing_meets_nobody(
    alices: Actor,
    models: list[LanguageModel],
    fields: dict,  # type: ignore[type-arg]
) -> None:
    if "rests_until" in fields:
        fields = {"rests_until": timezone.now() + timezone.timedelta(hours=1)}  # type: ignore[attr-defined]
    Worker.objects.filter(hosted__model__name="cow").update(**fields)
    met = {frozenset(names(started(alices, seed=seed).battle)) for seed in range(12)}
    assert met == {frozenset({"ant", "bee"})}


def test_visitors_do_not_meet_a_model_that_is_for_members(
    alices: Actor, visitor: UUID, models: list[LanguageModel]
) -> None:
    LanguageModel.objects.filter(name="cow").update(visibility=Visibility.MEMBERS)
    strangers = {frozenset(names(started(Actor(visitor_public_id=visitor), seed=seed).battle)) for seed in range(12)}
    members = {frozenset(names(started(alices, seed=seed).battle)) for seed in range(12)}
    assert strangers == {frozenset({"ant", "bee"})}
    assert len(members) > 1


def test_visitors_do_not_choose_a_model_for_members_that_an_admin_entered(
    alices: Actor, visitor: UUID, arena: Arena
) -> None:
    ant, bee = model_ready("ant"), model_ready("bee", visibility=Visibility.MEMBERS)
    entered = Contestant.objects.create(arena=arena, model=bee, name="bee, brief", system_prompt="Be brief.")
    choice = (Contestant.objects.get(model=ant).public_id, entered.public_id)
    with pytest.raises(ContestantUnknown):
        started(Actor(visitor_public_id=visitor), choice=choice)
    with pytest.raises(NoOpponents):
        started(Actor(visitor_public_id=visitor))
    assert names(started(alices, choice=choice).battle) == ["ant", "bee, brief"]


def test_a_hidden_model_is_met_where_an_admin_entered_it(alices: Actor, arena: Arena) -> None:
    model_ready("ant")
    hidden = model_ready("secret", visibility=Visibility.HIDDEN)
    with pytest.raises(NoOpponents):
        started(alices)
    Contestant.objects.create(arena=arena, model=hidden, name="with instructions", system_prompt="Be brief.")
    assert set(names(started(alices).battle)) == {"ant", "with instructions"}


def test_a_contestant_is_asked_under_its_instructions_and_sampling_all_through_the_battle(
    alices: Actor, arena: Arena
) -> None:
    model = model_ready("ant")
    Contestant.objects.create(
        arena=arena, model=model, name="a brief ant", system_prompt="Be brief.", temperature=0, max_tokens=20
    )
    battle = fought(alices)
    turn = battle_send(actor=alices, battle_id=battle.public_id, text="Two")
    asked = {
        side.contestant.name: call_body(side.conversation.pk, before=generation.public_id)  # type: ignore[union-attr]
        for side, generation in zip(sides_get(battle), turn.generations, strict=True)
    }
    assert asked["a brief ant"]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (asked["a brief ant"]["temperature"], asked["a brief ant"]["max_tokens"]) == (0, 20)
    assert [message["role"] for message in asked["ant"]["messages"]] == ["user", "assistant", "user"]
    assert asked["ant"].keys() == {"messages"}


def test_a_deleted_model_s_battles_stay_and_it_is_met_no_more(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    gone = names(battle)[0]
    LanguageModel.objects.get(name=gone).delete()
    assert names(battle)[0] == gone
    with pytest.raises(BattleFailed):
        battle_send(actor=alices, battle_id=battle.public_id, text="Are you there?")
    assert all(gone not in names(started(alices, seed=seed).battle) for seed in range(12))
    back = model_ready(gone)
    assert Contestant.objects.get(name=gone).model == back


def test_two_are_chosen_by_name(alices: Actor, models: list[LanguageModel]) -> None:
    a, b = (Contestant.objects.get(name=name) for name in ("cow", "ant"))
    battle = started(alices, choice=(a.public_id, b.public_id)).battle
    assert not battle.is_anonymous
    assert names(battle) == ["cow", "ant"]


def test_who_is_anonymous_only_cannot_be_chosen(alices: Actor, models: list[LanguageModel]) -> None:
    a, b = Contestant.objects.filter(name__in=["ant", "bee"])
    Contestant.objects.filter(pk=a.pk).update(is_anonymous_only=True)
    for choice in ((a.public_id, b.public_id), (b.public_id, b.public_id), (b.public_id, uuid4())):
        with pytest.raises(ContestantUnknown):
            started(alices, choice=choice)


def test_an_adaptive_arena_counts_the_votes_of_each_pair(alices: Actor, arena: Arena) -> None:
    model_ready("ant")
    model_ready("bee")
    for _ in range(3):
        vote_cast(actor=alices, battle_id=fought(alices).public_id, verdict=Verdict.TIE)
    fought(alices)  # without a vote
    assert list(n_met(arena).values()) == [3]
    Arena.objects.update(pairing="adaptive")
    assert set(names(started(alices).battle)) == {"ant", "bee"}


def test_an_adaptive_arena_of_three_spends_battles_where_least_is_known(
    alices: Actor, models: list[LanguageModel]
) -> None:
    ant, bee = (Contestant.objects.get(name=name) for name in ("ant", "bee"))
    Arena.objects.update(pairing="adaptive")
    for seed in range(200):
        battle = started(alices, seed=seed).battle
        sides = Side.objects.filter(battle=battle)
        sides.filter(position="a").update(contestant=(ant, bee)[seed % 2])
        sides.filter(position="b").update(contestant=(bee, ant)[seed % 2])
        Vote.objects.create(battle=battle, verdict=Verdict.A, n_turns=1)
    assert n_met(Arena.objects.get()) == {frozenset({ant.pk, bee.pk}): 200}

    drawn = Counter(frozenset(names(started(alices, seed=seed).battle)) for seed in range(150))
    of_known = gain(200) / (gain(200) + 2 * gain(0))
    assert drawn[frozenset({"ant", "bee"})] / 150 == pytest.approx(of_known, abs=0.03)
    assert drawn[frozenset({"ant", "cow"})] / 150 == pytest.approx(0.5, abs=0.15)


# --- What follows -----------------------------------------------------------------------------------------------------


def test_a_failed_side_gets_the_other_a_new_opponent(alices: Actor, models: list[LanguageModel]) -> None:
    for seed in range(6):
        battle = ended(started(alices, "The question", seed=seed), FAILED, COMPLETE)
        failed, survivor = names(battle)
        opening = Opening("public", "The question", **follow_up(battle, Follows.NEW_OPPONENT))
        after = battle_start(actor=alices, opening=opening, random=Random(seed)).battle
        assert survivor in names(after)
        assert failed not in names(after)
        assert (after.previous, after.follows) == (battle, Follows.NEW_OPPONENT)


def test_nobody_gets_a_new_opponent_while_both_stand(alices: Actor, models: list[LanguageModel]) -> None:
    for battle in (fought(alices), started(alices).battle):
        with pytest.raises(BattleWhole):
            started(alices, **follow_up(battle, Follows.NEW_OPPONENT))


def test_of_two_alone_both_get_another_chance(alices: Actor, arena: Arena) -> None:
    model_ready("ant")
    model_ready("bee")
    after = started(alices, **follow_up(ended(started(alices), FAILED), Follows.NEW_OPPONENT)).battle
    assert (set(names(after)), after.is_anonymous) == ({"ant", "bee"}, True)


def test_nobody_is_left_out_for_the_voters_own_limits(alices: Actor, models: list[LanguageModel]) -> None:
    limited = replace(FAILED, error=Failure("accounts.limit_exceeded", "Too many.", retryable=True))
    met: set[str] = set()
    for seed in range(8):
        battle = ended(started(alices, seed=1), limited, limited)
        met |= set(names(started(alices, seed=seed, **follow_up(battle, Follows.NEW_OPPONENT)).battle))
    assert met == {"ant", "bee", "cow"}


def test_names_that_were_told_do_not_come_back_in_a_blind_battle(alices: Actor, models: list[LanguageModel]) -> None:
    battle = ended(started(alices), FAILED)
    battle_reveal(actor=alices, battle_id=battle.public_id)
    with pytest.raises(AlreadyRevealed):
        started(alices, **follow_up(battle, Follows.NEW_OPPONENT))


def test_names_of_a_battle_are_not_told_while_one_of_the_two_stands_in_a_blind_one(
    alices: Actor, models: list[LanguageModel]
) -> None:
    battle = ended(started(alices), FAILED)
    after = ended(started(alices, **follow_up(battle, Follows.NEW_OPPONENT)))
    with pytest.raises(BattleFollowed):
        battle_reveal(actor=alices, battle_id=battle.public_id)
    battle_reveal(actor=alices, battle_id=after.public_id)
    assert battle_reveal(actor=alices, battle_id=battle.public_id).revealed_at


def test_a_battle_gets_one_new_opponent(alices: Actor, models: list[LanguageModel]) -> None:
    battle = ended(started(alices), FAILED)
    started(alices, **follow_up(battle, Follows.NEW_OPPONENT))
    with pytest.raises(BattleFollowed):
        started(alices, **follow_up(battle, Follows.NEW_OPPONENT))


@pytest.mark.parametrize("how", [Follows.NEW_OPPONENT, Follows.NEW_ROUND])
def test_what_began_by_name_does_not_go_on_without_names(
    alices: Actor, models: list[LanguageModel], how: Follows
) -> None:
    a, b = Contestant.objects.filter(name__in=["ant", "bee"])
    battle = ended(started(alices, choice=(a.public_id, b.public_id)), FAILED)
    with pytest.raises(ChoiceMissing):
        started(alices, **follow_up(battle, how))
    again = started(alices, choice=(a.public_id, b.public_id), **follow_up(battle, how)).battle
    assert not again.is_anonymous


def test_a_rematch_is_of_two_whose_names_are_known(alices: Actor, models: list[LanguageModel]) -> None:
    with pytest.raises(BattleNotRevealed):
        started(alices, **follow_up(fought(alices), Follows.REMATCH))


def test_a_rematch_is_of_the_same_two_on_sides_drawn_anew(alices: Actor, models: list[LanguageModel]) -> None:
    battle = shown(alices, fought(alices))
    again = [names(started(alices, seed=seed, **follow_up(battle, Follows.REMATCH)).battle) for seed in range(20)]
    assert {frozenset(two) for two in again} == {frozenset(names(battle))}
    assert len({two[0] for two in again}) == 2


def test_a_rematch_of_two_chosen_by_name_is_named_too(alices: Actor, models: list[LanguageModel]) -> None:
    a, b = Contestant.objects.filter(name__in=["ant", "bee"])
    battle = fought(alices, choice=(a.public_id, b.public_id))
    assert not started(alices, **follow_up(battle, Follows.REMATCH)).battle.is_anonymous


def test_a_rematch_of_one_that_is_retired_is_refused(alices: Actor, models: list[LanguageModel]) -> None:
    battle = shown(alices, fought(alices))
    assert contestant_retire(sides_get(battle)[0].contestant)
    with pytest.raises(NoOpponents):
        started(alices, **follow_up(battle, Follows.REMATCH))


# --- Whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "knock",
    [
        lambda actor, battle: battle_send(actor=actor, battle_id=battle.public_id, text="Hi"),
        lambda actor, battle: battle_stop(actor=actor, battle_id=battle.public_id),
        lambda actor, battle: battle_reveal(actor=actor, battle_id=battle.public_id),
        lambda actor, battle: started(actor, **follow_up(battle, Follows.REMATCH)),
    ],
    ids=["send", "stop", "reveal", "rematch"],
)
def test_charlie_finds_no_battle_of_alice_s(
    alices: Actor, charlies: Actor, models: list[LanguageModel], knock: Callable[[Actor, Battle], object]
) -> None:
    battle = fought(alices)
    with pytest.raises(BattleNotFound):
        knock(charlies, battle)
    battle.refresh_from_db()
    assert (battle.revealed_at, battle.n_turns) == (None, 1)


def test_the_chat_s_doors_do_not_open_the_sides_of_a_battle(alices: Actor, models: list[LanguageModel]) -> None:
    turn = started(alices)
    for conversation in Conversation.objects.all():
        with pytest.raises(ChatNotFound):
            conversation_get(alices, conversation.public_id)
    for generation in turn.generations:
        with pytest.raises(ChatNotFound):
            generation_get_owned(alices, generation.public_id)
    assert history_list(alices) == []


def test_a_visitor_who_signs_in_keeps_the_battles(alice: User, models: list[LanguageModel], visitor: UUID) -> None:
    battle = fought(Actor(visitor_public_id=visitor))
    client = Client()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    assert client.post("/accounts/login/", {"login": "alice", "password": "correct horse"}).status_code == 302
    battle.refresh_from_db()
    assert (battle.user, battle.visitor) == (alice, None)
    turn = battle_send(actor=Actor(user_id=alice.pk), battle_id=battle.public_id, text="And now?")
    assert turn.number == 2


def test_of_an_erased_owner_the_battle_stays_without_its_texts(
    alice: User, alices: Actor, models: list[LanguageModel]
) -> None:
    battle = fought(alices)
    alice.delete()
    battle.refresh_from_db()
    assert battle.user is None
    assert not Message.objects.exists()
    assert Side.objects.filter(battle=battle, conversation=None).count() == 2


@pytest.mark.parametrize("kind", [ArenaKind.TEAM, ArenaKind.PRIVATE])
def test_an_arena_of_a_few_is_not_there_for_others(
    alice: User, alices: Actor, charlies: Actor, visitor: UUID, models: list[LanguageModel], kind: ArenaKind
) -> None:
    own = Arena.objects.create(slug="own", name="Our own", kind=kind)
    team = Group.objects.create(name="team")
    team.user_set.add(alice)
    own.groups.add(team)
    own.members.add(alice)
    for model in models:
        Contestant.objects.create(arena=own, model=model, name=model.name)
    assert started(alices, arena="own").battle.arena == own
    for stranger in (charlies, Actor(visitor_public_id=visitor), Actor()):
        assert own not in arenas_visible(stranger)
    with pytest.raises(ArenaNotFound):
        started(charlies, arena="own")


def test_whoever_may_be_in_an_arena_no_more_ends_nothing_there(
    alice: User, alices: Actor, models: list[LanguageModel]
) -> None:
    own = Arena.objects.create(slug="own", name="Our own", kind=ArenaKind.PRIVATE)
    own.members.add(alice)
    for model in models:
        Contestant.objects.create(arena=own, model=model, name=model.name)
    battle = fought(alices, arena="own")
    own.members.remove(alice)
    for act in (
        lambda: battle_send(actor=alices, battle_id=battle.public_id, text="Hi"),
        lambda: battle_reveal(actor=alices, battle_id=battle.public_id),
        lambda: vote_cast(actor=alices, battle_id=battle.public_id, verdict=Verdict.A),
    ):
        with pytest.raises(ArenaNotFound):
            act()
    own.members.add(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    with pytest.raises(SignInRequired):
        vote_cast(actor=alices, battle_id=battle.public_id, verdict=Verdict.A)


def test_a_team_s_arena_without_groups_is_for_everybody_who_is_signed_in(alices: Actor, visitor: UUID) -> None:
    team = Arena.objects.create(slug="team", name="Team", kind=ArenaKind.TEAM)
    assert team in arenas_visible(alices)
    assert team not in arenas_visible(Actor(visitor_public_id=visitor))


def test_what_happened_in_one_arena_does_not_go_on_in_another(alices: Actor, models: list[LanguageModel]) -> None:
    Arena.objects.create(slug="other", name="Other")
    with pytest.raises(BattleNotFound):
        started(alices, arena="other", **follow_up(fought(alices), Follows.REMATCH))


def test_a_closed_arena_begins_nothing_and_ends_what_has_begun(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    Arena.objects.update(is_open=False)
    with pytest.raises(ArenaClosed):
        started(alices)
    assert battle_send(actor=alices, battle_id=battle.public_id, text="Go on").number == 2


def test_stopping_asks_for_the_end_of_both(alices: Actor, models: list[LanguageModel]) -> None:
    turn = started(alices)
    asked = battle_stop(actor=alices, battle_id=turn.battle.public_id)
    assert asked == [generation.public_id for generation in turn.generations]
    assert Generation.objects.filter(is_stop_requested=True).count() == 2
    battle = ended(turn, STOPPED, STOPPED)
    assert battle_stop(actor=alices, battle_id=battle.public_id) == []


def test_the_two_sides_are_a_and_b(alices: Actor, models: list[LanguageModel]) -> None:
    battle = started(alices).battle
    assert [side.position for side in sides_get(battle)] == [Position.A, Position.B]
