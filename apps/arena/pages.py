"""What a page and a program may see of a battle. Names are here only when they may be told."""

from dataclasses import dataclass, replace
from uuid import UUID

from django.urls import reverse

from apps.arena.errors import BattleErased, side_failure
from apps.arena.models import Battle, Contestant, Side, Vote
from apps.arena.selectors import LastTurn, TurnState, last_turn_get, sides_get
from apps.arena.spoken import spoken
from apps.arena.standings import Standing, standings_of
from apps.conversations.markdown import render, render_user
from apps.conversations.models import Conversation, Generation, GenerationState, Message, Role
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.conversations import path_list
from apps.core.errors import SiteError


@dataclass(frozen=True, slots=True)
class Told:
    """Who a contestant is, for people who may know."""

    name: str
    model: str
    organisation: str
    licence: str
    description: str
    rank: int | None = None
    """On the arena's newest board, where it has one."""
    rating: float | None = None
    board_url: str = ""


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One message and both answers; these are None while they are being written, or if one failed."""

    number: int
    state: TurnState
    question: str
    a: str | None
    b: str | None

    @property
    def question_html(self) -> str:
        return render_user(self.question)

    @property
    def a_html(self) -> str:
        return render(self.a or "")

    @property
    def b_html(self) -> str:
        return render(self.b or "")


@dataclass(frozen=True, slots=True)
class ShownBattle:
    """A battle as a page or a program sees it. `names` is None as long as they are not to be known."""

    id: UUID
    url: str
    is_anonymous: bool
    turns: list[ShownTurn]
    state: TurnState
    failure: Failure | None
    names: tuple[Told, Told] | None
    is_revealed: bool
    """The names were told, so there can be no vote any more."""
    vote: Vote | None


def battle_url(public_id: UUID) -> str:
    return reverse("arena:battle", args=[public_id])


def battle_shown(battle: Battle) -> ShownBattle:
    """In a number of queries that does not grow with the battle. One whose texts were erased has no turns."""
    sides = sides_get(battle)
    last = last_turn_get(sides)
    state = TurnState.FAILED if last is None else last.state
    return ShownBattle(
        id=battle.public_id,
        url=battle_url(battle.public_id),
        is_anonymous=battle.is_anonymous,
        turns=_turns(battle, sides, state),
        state=state,
        failure=_failure(last),
        names=names_told(battle, sides),
        is_revealed=battle.revealed_at is not None,
        vote=getattr(battle, "vote", None),
    )


def names_told(battle: Battle, sides: tuple[Side, Side] | None = None) -> tuple[Told, Told] | None:
    """A's and B's, if they may be known: chosen by name, or told with a vote or without one."""
    if battle.is_blind:
        return None
    a, b = (side.contestant for side in sides or sides_get(battle))
    standings = standings_of([a.pk, b.pk])
    return _with_standing(a, standings.get(a.pk)), _with_standing(b, standings.get(b.pk))


def _with_standing(contestant: Contestant, standing: Standing | None) -> Told:
    told = contestant_told(contestant)
    if standing is None:
        return told
    return replace(told, rank=standing.rank, rating=standing.rating, board_url=standing.url)


def contestant_told(contestant: Contestant) -> Told:
    model = contestant.model
    if model is None:
        return Told(contestant.name, contestant.name, "", "", "")
    name = str(model) if contestant.is_automatic else contestant.name
    return Told(name, str(model), model.organisation, model.licence, model.description)


def _turns(battle: Battle, sides: tuple[Side, Side], state: TurnState) -> list[ShownTurn]:
    """All before the last one have ended, or the next would not have begun."""
    a, b = (_said(side.conversation, hides_thoughts=battle.is_blind) for side in sides)
    pairs = list(zip(a, b, strict=False))
    states = [TurnState.ENDED] * (len(pairs) - 1) + [state]
    turns = enumerate(zip(pairs, states, strict=False), start=1)
    return [_turn(number, of_a, of_b, of_turn) for number, ((of_a, of_b), of_turn) in turns]


def _turn(number: int, a: "_Said", b: "_Said", state: TurnState) -> ShownTurn:
    if state is not TurnState.ENDED:
        return ShownTurn(number, state, a.question, None, None)
    # Of a turn that was stopped no more is seen than while it was written: the longer one is the quicker one.
    n_chars = min(len(a.answer), len(b.answer)) if a.was_stopped or b.was_stopped else None
    return ShownTurn(number, state, a.question, a.answer[:n_chars], b.answer[:n_chars])


@dataclass(frozen=True, slots=True)
class _Said:
    """What one side was asked in a turn, and what it answered."""

    question: str
    answer: str
    was_stopped: bool


def _said(conversation: Conversation | None, *, hides_thoughts: bool) -> list[_Said]:
    if conversation is None:
        return []
    path = path_list(conversation)
    answers = {message.parent_id: message for message in path if message.role == Role.ASSISTANT}
    stopped = Generation.objects.filter(conversation=conversation, state=GenerationState.STOPPED)
    stopped_pks = set(stopped.values_list("message_id", flat=True))
    said = [
        _said_in(question, answers.get(question.pk), stopped_pks) for question in path if question.role == Role.USER
    ]
    return [replace(one, answer=spoken(one.answer)) for one in said] if hides_thoughts else said


def _said_in(question: Message, answer: Message | None, stopped: set[int]) -> _Said:
    return _Said(question.content, answer.content if answer else "", answer is not None and answer.pk in stopped)


def _failure(last: LastTurn | None) -> Failure | None:
    if last is None:
        return Failure.of(BattleErased())
    if last.state is not TurnState.FAILED:
        return None
    code = next(g.error_code for g in last.generations if g.state == GenerationState.FAILED)
    error: SiteError = side_failure(code)
    return Failure.of(error)
