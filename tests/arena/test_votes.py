"""Votes: one for each battle, when both have ended, before the names are told; also when two come at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.arena import evidence
from apps.arena.errors import AlreadyRevealed, AlreadyVoted, BattleFailed, BattleNotFound, BattleNotReady
from apps.arena.evidence import MIN_OTHERS
from apps.arena.integrity import BURST_PER_MINUTE, MIN_HISTORY, SHADOW_WEIGHT, PastVote, Reason
from apps.arena.models import Arena, Battle, Contestant, Follows, Integrity, NetworkKey, Verdict, Vote
from apps.arena.pages import battle_shown, names_told
from apps.arena.selectors import TurnState, sides_get
from apps.arena.services.battles import BattleTurn, battle_reveal, battle_send
from apps.arena.services.erasure import battles_erase
from apps.arena.services.networks import KEY_LASTS, voters_network
from apps.arena.services.votes import vote_cast, vote_overrule
from apps.arena.verdicts import told_about
from apps.catalog.models import LanguageModel
from apps.conversations.models import Generation
from apps.conversations.services.generations import generation_finish
from apps.core.errors import SiteError
from tests.arena.support import COMPLETE, FAILED, STOPPED, ended, follow_up, fought, model_ready, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def models(arena: Arena) -> list[LanguageModel]:
    return [model_ready(name, organisation=f"{name} lab") for name in ("ant", "bee")]


@pytest.fixture
def committed_models(transactional_db: None, arena: Arena) -> list[LanguageModel]:
    return [model_ready(name) for name in ("ant", "bee")]


def cast(actor: Actor, battle: Battle, verdict: Verdict = Verdict.A) -> Vote:
    return vote_cast(actor=actor, battle_id=battle.public_id, verdict=verdict)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that start together; return what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            barrier.wait()
            return call()
        except SiteError as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_vote_is_stored_and_tells_the_names(alices: Actor, models: list[LanguageModel], verdict: Verdict) -> None:
    battle = fought(alices)
    assert names_told(battle) is None
    vote = cast(alices, battle, verdict)
    assert (vote.verdict, vote.n_turns, vote.counts) == (verdict, 1, True)
    battle.refresh_from_db()
    told = names_told(battle)
    assert told is not None
    assert {one.name for one in told} == {"ant", "bee"}
    assert {one.organisation for one in told} == {"ant lab", "bee lab"}


def test_no_vote_before_both_have_ended(alices: Actor, models: list[LanguageModel]) -> None:
    turn = started(alices)
    for _ in range(2):
        with pytest.raises(BattleNotReady):
            cast(alices, turn.battle)
        assert names_told(Battle.objects.get()) is None
        generation_finish(turn.generations[0].public_id, COMPLETE, "Yes")
    generation_finish(turn.generations[1].public_id, COMPLETE, "No.")
    assert cast(alices, turn.battle)


def test_no_vote_before_the_rest_of_the_longer_one_may_be_seen(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices, texts=("word " * 300, "No."))
    Generation.objects.update(finished_at=timezone.now() - timedelta(seconds=50))
    for _ in range(2):
        shown = battle_shown(Battle.objects.get())
        assert (shown.state, shown.turns[0].a, shown.turns[0].b) == (TurnState.RUNNING, None, None)
        with pytest.raises(BattleNotReady):
            cast(alices, battle)
    Generation.objects.update(finished_at=timezone.now() - timedelta(seconds=75))
    assert battle_shown(Battle.objects.get()).state == TurnState.ENDED
    assert cast(alices, battle).counts


def test_thoughts_are_no_evidence_and_no_answer(alices: Actor, models: list[LanguageModel]) -> None:
    thinks = "<think>The user asks whether I am GPT-4. I am not: I am Claude.</think>\n\nYes."
    assert cast(alices, ended(started(alices, "One"), texts=(thinks, "No."))).counts
    empty = cast(alices, ended(started(alices, "Two"), texts=("<think>I am Claude, and out of", "No.")))
    assert empty.reasons == [Reason.EMPTY_ANSWER]


def test_no_vote_while_the_next_turn_is_written(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    battle_send(actor=alices, battle_id=battle.public_id, text="Two")
    with pytest.raises(BattleNotReady):
        cast(alices, battle)


@pytest.mark.parametrize("outcomes", [(FAILED, COMPLETE), (COMPLETE, FAILED), (FAILED, FAILED), (STOPPED, FAILED)])
def test_a_failed_side_is_never_a_loss(alices: Actor, models: list[LanguageModel], outcomes: tuple) -> None:  # type: ignore[type-arg]
    battle = ended(started(alices), *outcomes)
    with pytest.raises(BattleFailed):
        cast(alices, battle)
    assert not Vote.objects.exists()
    assert names_told(Battle.objects.get()) is None


def test_a_battle_has_one_vote(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    cast(alices, battle, Verdict.A)
    with pytest.raises(AlreadyVoted):
        cast(alices, battle, Verdict.B)
    assert Vote.objects.get().verdict == Verdict.A


def test_the_database_itself_forbids_a_second_vote(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    cast(alices, battle)
    with pytest.raises(IntegrityError), transaction.atomic():
        Vote.objects.create(battle=battle, verdict=Verdict.B, n_turns=1)


@pytest.mark.django_db(transaction=True)
def test_of_two_votes_at_once_one_is_stored(alices: Actor, committed_models: list[LanguageModel]) -> None:
    for _ in range(5):
        battle = fought(alices)
        results = at_once(
            lambda: cast(alices, battle, Verdict.A),  # noqa: B023
            lambda: cast(alices, battle, Verdict.B),  # noqa: B023
        )
        stored = [result for result in results if isinstance(result, Vote)]
        assert [type(result) for result in results if result not in stored] == [AlreadyVoted]
        assert Vote.objects.get(battle=battle).verdict == stored[0].verdict


@pytest.mark.django_db(transaction=True)
def test_of_a_vote_and_a_message_at_once_the_vote_is_for_what_was_seen(
    alices: Actor, committed_models: list[LanguageModel]
) -> None:
    for _ in range(5):
        battle = fought(alices)
        vote, turn = at_once(
            lambda: cast(alices, battle),  # noqa: B023
            lambda: battle_send(actor=alices, battle_id=battle.public_id, text="Two"),  # noqa: B023
        )
        assert isinstance(turn, BattleTurn)
        assert isinstance(vote, BattleNotReady) or (isinstance(vote, Vote) and vote.n_turns == 1)


@pytest.mark.django_db(transaction=True)
def test_of_a_vote_and_a_reveal_at_once_no_vote_comes_after_the_names(
    alices: Actor, committed_models: list[LanguageModel]
) -> None:
    for _ in range(5):
        battle = fought(alices)
        vote, _ = at_once(
            lambda: cast(alices, battle),  # noqa: B023
            lambda: battle_reveal(actor=alices, battle_id=battle.public_id),  # noqa: B023
        )
        assert isinstance(vote, AlreadyRevealed) or Vote.objects.filter(battle=battle).exists()


def test_after_the_names_were_shown_there_is_no_vote(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    assert names_told(battle_reveal(actor=alices, battle_id=battle.public_id)) is not None
    with pytest.raises(AlreadyRevealed):
        cast(alices, battle)
    assert not Vote.objects.exists()


def test_what_is_said_after_the_vote_is_not_judged(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    vote = cast(alices, battle)
    ended(battle_send(actor=alices, battle_id=battle.public_id, text="Thanks. And now?"))
    with pytest.raises(AlreadyVoted):
        cast(alices, battle, Verdict.B)
    vote.refresh_from_db()
    assert (vote.verdict, vote.n_turns) == (Verdict.A, 1)


def test_a_vote_on_two_chosen_by_name_is_kept_apart(alices: Actor, models: list[LanguageModel]) -> None:
    a, b = Contestant.objects.all()
    battle = fought(alices, choice=(a.public_id, b.public_id))
    assert names_told(battle) is not None
    assert not cast(alices, battle).battle.is_anonymous


def test_charlie_cannot_vote_in_alice_s_battle(alices: Actor, charlies: Actor, models: list[LanguageModel]) -> None:
    with pytest.raises(BattleNotFound):
        cast(charlies, fought(alices))


def test_an_admin_decides_and_takes_it_back(alices: Actor, bob: User, models: list[LanguageModel]) -> None:
    vote = cast(alices, fought(alices))
    Vote.objects.filter(pk=vote.pk).update(weight=0.25)
    vote.refresh_from_db()
    assert vote.effective_weight == 0.25
    vote_overrule(vote=vote, decision=Integrity.NOT_COUNTED, why="a test of the site", admin=bob)
    vote.refresh_from_db()
    assert (vote.counts, vote.effective_weight, vote.overruled_by) == (False, 0.0, bob)
    vote_overrule(vote=vote, decision=Integrity.COUNTED, why="it was none", admin=bob)
    assert vote.effective_weight == 1.0
    vote_overrule(vote=vote, decision=None, why="", admin=bob)
    assert (vote.counts, vote.effective_weight) == (True, 0.25)


# --- What is thought of it --------------------------------------------------------------------------------------------


def test_a_vote_says_why_it_does_not_count(alices: Actor, models: list[LanguageModel]) -> None:
    told = cast(alices, ended(started(alices, "One"), texts=("I am Claude.", "No.")))
    asked = cast(alices, fought(alices, "Are you GPT-4?"))
    named = cast(alices, fought(alices, "Bees?", texts=("It was the bee lab.", "I was made by the ant lab.")))
    again = cast(alices, fought(alices, "Rematch", **follow_up(asked.battle, Follows.REMATCH)))
    stopped = cast(alices, ended(started(alices, "Stop"), STOPPED))
    empty = cast(alices, ended(started(alices, "Empty"), texts=("", "No.")))
    votes = [told, asked, named, again, stopped, empty]
    assert [vote.reasons for vote in votes] == [
        [Reason.IDENTITY_TOLD], [Reason.IDENTITY_ASKED], [Reason.IDENTITY_TOLD], [Reason.PAIR_KNOWN],
        [Reason.STOPPED], [Reason.EMPTY_ANSWER],
    ]  # fmt: skip
    assert not any(vote.counts for vote in votes)
    assert told_about(told)["reasons"] == ["One of the answers told who wrote it."]
    assert {vote.integrity for vote in Vote.objects.all()} == {Integrity.NOT_COUNTED}


def test_an_earlier_turn_can_give_it_away_too(alices: Actor, models: list[LanguageModel]) -> None:
    battle = ended(started(alices), texts=("I am Gemini.", "No."))
    ended(battle_send(actor=alices, battle_id=battle.public_id, text="And now?"))
    assert cast(alices, battle).reasons == [Reason.IDENTITY_TOLD]


def test_a_vote_that_comes_too_soon_or_too_late(alices: Actor, models: list[LanguageModel]) -> None:
    soon = ended(started(alices, "Soon"), texts=("word " * 3000, "No."))
    late = fought(alices, "Late")
    Battle.objects.filter(pk=late.pk).update(created_at=timezone.now() - timedelta(days=2))
    Generation.objects.filter(conversation__side__battle=soon).update(created_at=timezone.now() - timedelta(seconds=4))
    assert cast(alices, soon).reasons == [Reason.TOO_FAST]
    assert cast(alices, late).reasons == [Reason.TOO_LATE]


def test_the_same_question_to_the_same_two_counts_once(alices: Actor, bob: User, models: list[LanguageModel]) -> None:
    votes = [cast(alices, fought(alices, text)) for text in ("What is 2 + 2?", "  what IS 2 +\n2? ", "What is 2 + 3?")]
    assert [vote.counts for vote in votes] == [True, False, True]
    assert votes[1].reasons == [Reason.DUPLICATE]
    bobs = Actor(user_id=bob.pk)
    assert cast(bobs, fought(bobs, "What is 2 + 2?")).counts


def test_what_was_learned_with_the_names_of_another_battle_is_no_evidence(
    alices: Actor, models: list[LanguageModel]
) -> None:
    blind, shown = fought(alices, "What is 2 + 2?"), fought(alices, "what is 2 + 2?")
    battle_reveal(actor=alices, battle_id=shown.public_id)
    assert cast(alices, blind).reasons == [Reason.DUPLICATE]
    a, b = Contestant.objects.all()
    fought(alices, "What is 3 + 3?", choice=(a.public_id, b.public_id))
    assert cast(alices, fought(alices, "What is 3 + 3?")).reasons == [Reason.DUPLICATE]


def test_what_could_not_be_seen_before_takes_its_time_too(alices: Actor, models: list[LanguageModel]) -> None:
    tail = ended(started(alices, "Tail"), texts=("word " * 1000, "No."))
    late = ended(started(alices, "Late"), texts=("Yes", "No."))
    whole = ended(started(alices, "Whole"), texts=("word " * 1000, "word " * 1000))
    of = Generation.objects.filter
    # Its rest was begun to be shown 7 s ago, and was there half a second ago.
    of(conversation__side__battle=tail).update(finished_at=timezone.now() - timedelta(seconds=67))
    of(conversation__side__battle=whole).update(finished_at=timezone.now() - timedelta(seconds=2))
    of(conversation__side__battle=late).update(ttft_ms=119_900, finished_at=timezone.now())
    assert cast(alices, tail).reasons == [Reason.TOO_FAST]
    assert cast(alices, late).reasons == [Reason.TOO_FAST]
    assert cast(alices, whole).counts


def test_votes_of_others_that_do_not_count_say_nothing_about_a_model(
    alices: Actor, bob: User, models: list[LanguageModel]
) -> None:
    sides = sides_get(fought(alices))
    mine = Vote.objects.filter(battle__user=alices.user_id)
    history = [PastVote(sides[0].contestant_id, sides[1].contestant_id, 1.0)] * MIN_HISTORY
    bobs = Actor(user_id=bob.pk)
    votes = [cast(bobs, fought(bobs, f"Question {n}"), Verdict.A) for n in range(MIN_OTHERS)]
    assert evidence._win_rates(sides[0].battle, history, mine).keys() == {side.contestant_id for side in sides}
    Vote.objects.filter(pk=votes[0].pk).update(overruled=Integrity.NOT_COUNTED)
    assert evidence._win_rates(sides[0].battle, history, mine) == {}
    Vote.objects.update(overruled="", verdict=Verdict.TIE)
    assert evidence._win_rates(sides[0].battle, history, mine) == {}


def test_a_burst_weighs_little_without_a_word(alices: Actor, models: list[LanguageModel]) -> None:
    votes = [cast(alices, fought(alices, f"Question {n}"), Verdict.TIE) for n in range(BURST_PER_MINUTE + 1)]
    assert [vote.weight for vote in votes] == [1.0] * BURST_PER_MINUTE + [SHADOW_WEIGHT]
    assert votes[-1].reasons == [Reason.BURST]
    assert told_about(votes[-1]) == {"verdict": "tie", "counts": True, "reasons": []}


def test_who_throws_the_cookie_away_is_known_by_the_network(models: list[LanguageModel]) -> None:
    """Sixteen visitors, one after the other, all for A, as one program would be."""
    votes = []
    for n in range(16):
        somebody = Actor(visitor_public_id=uuid4())
        battle = fought(somebody, f"Question {n}")
        address = f"203.0.113.{n + 1}"
        votes.append(vote_cast(actor=somebody, battle_id=battle.public_id, verdict=Verdict.A, address=address))
        Vote.objects.filter(pk=votes[-1].pk).update(created_at=timezone.now() - timedelta(days=1))
    assert len({vote.network for vote in votes}) == 1
    assert votes[0].weight == 1.0
    assert (votes[-1].counts, votes[-1].weight, votes[-1].reasons) == (True, SHADOW_WEIGHT, [Reason.ONE_SIDED])
    elsewhere = Actor(visitor_public_id=uuid4())
    battle = fought(elsewhere, "Elsewhere")
    assert vote_cast(actor=elsewhere, battle_id=battle.public_id, verdict=Verdict.A, address="198.51.100.7").weight == 1
    assert not Vote.objects.filter(network__contains="203.0.113").exists()


def test_a_vote_of_somebody_with_an_account_keeps_no_network(alices: Actor, models: list[LanguageModel]) -> None:
    battle = fought(alices)
    vote = vote_cast(actor=alices, battle_id=battle.public_id, verdict=Verdict.A, address="203.0.113.9")
    assert vote.network == ""
    assert not NetworkKey.objects.exists()


def test_of_a_visitor_who_is_erased_no_trace_of_the_network_stays(models: list[LanguageModel]) -> None:
    somebody = Actor(visitor_public_id=uuid4())
    battle = fought(somebody)
    vote = vote_cast(actor=somebody, battle_id=battle.public_id, verdict=Verdict.A, address="2001:db8::1")
    assert vote.network
    assert battles_erase(somebody, []) == 1
    vote.refresh_from_db()
    assert vote.network == ""


def test_a_visitor_whose_row_is_deleted_takes_the_network_along(models: list[LanguageModel]) -> None:
    somebody = Actor(visitor_public_id=uuid4())
    battle = fought(somebody)
    vote = vote_cast(actor=somebody, battle_id=battle.public_id, verdict=Verdict.A, address="2001:db8::1")
    Visitor.objects.all().delete()
    vote.refresh_from_db()
    assert vote.network == ""


def test_networks_are_told_apart_until_their_key_is_replaced() -> None:
    one, same, other = (voters_network(address) for address in ("203.0.113.1", "203.0.113.200", "203.0.114.1"))
    assert one == same != other
    wide = {voters_network(address) for address in ("2001:db8:7:1::1", "2001:db8:7:2::9", "::ffff:203.0.113.5")}
    assert wide == {voters_network("2001:db8:7::"), one}
    assert voters_network("") == voters_network("unix") == ""
    NetworkKey.objects.update(made_at=timezone.now() - KEY_LASTS - timedelta(seconds=1))
    again = voters_network("203.0.113.1")
    assert again != one
    assert again == voters_network("203.0.113.1")
    assert NetworkKey.objects.count() == 1


def test_who_lifts_one_model_against_everybody_else_weighs_little(
    alices: Actor, bob: User, models: list[LanguageModel]
) -> None:
    def favour(actor: Actor, name: str, text: str) -> Vote:
        battle = fought(actor, text, seed=len(text))
        a, _ = sides_get(battle)
        vote = cast(actor, battle, Verdict.A if a.contestant.name == name else Verdict.B)
        Vote.objects.filter(pk=vote.pk).update(created_at=timezone.now() - timedelta(days=1))
        return vote

    for n in range(20):
        favour(Actor(user_id=bob.pk), "ant", "o" * (n + 1))
    mine = [favour(alices, "bee", "x" * (n + 1)) for n in range(16)]
    assert mine[0].weight == 1.0
    assert Reason.PARTIAL in mine[-1].reasons
    assert mine[-1].weight == SHADOW_WEIGHT
    assert mine[-1].counts


def test_names_in_a_battle_of_two_chosen_by_name_give_nothing_away(alices: Actor, models: list[LanguageModel]) -> None:
    a, b = Contestant.objects.all()
    vote = cast(alices, fought(alices, "Are you GPT-4?", choice=(a.public_id, b.public_id)))
    assert (vote.counts, vote.reasons) == (True, [])


def test_the_evidence_is_read_in_a_number_of_queries_that_does_not_grow(
    alices: Actor, models: list[LanguageModel], rules_loaded: None, django_assert_max_num_queries: Any
) -> None:
    for n in range(15):
        cast(alices, fought(alices, f"Question {n}"), Verdict.TIE)
    battle = fought(alices, "The last")
    with django_assert_max_num_queries(26):
        cast(alices, battle)


def test_a_voter_is_told_of_an_admins_decision(alices: Actor, bob: User, models: list[LanguageModel]) -> None:
    vote = cast(alices, fought(alices))
    vote_overrule(vote=vote, decision=Integrity.NOT_COUNTED, why="a program", admin=bob)
    assert told_about(vote) == {"verdict": "a", "counts": False, "reasons": ["An administrator decided so."]}
