"""People who have left something of every kind, and erasures that are carried out here instead of by a job."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.arena.models import Battle, Verdict
from apps.arena.services.votes import vote_cast
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Message, Role
from apps.conversations.services.turns import conversation_create
from apps.holds.models import HeldKind, LegalHold
from apps.holds.services import hold_place
from apps.moderation import selectors
from apps.privacy.models import ErasureRequest
from apps.privacy.services.erasures import erasure_advance
from tests.arena.support import fought, model_ready


@pytest.fixture(autouse=True)
def look_anew() -> Iterator[None]:
    """At the rules of moderation, which a process keeps for a moment."""
    selectors.forget()
    yield
    selectors.forget()


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create_superuser("root", "root@example.org", "correct horse battery")


@pytest.fixture
def models(db: None) -> list[LanguageModel]:
    """Two that can meet in the arena."""
    return [model_ready(name) for name in ("owl-7b", "fox-13b")]


def chat_of(owner: Actor, text: str = "Hello") -> Conversation:
    """With one message in it."""
    conversation = conversation_create(owner, text, None)
    conversation.active_leaf = Message.objects.create(conversation=conversation, role=Role.USER, content=text)
    conversation.save()
    return conversation


def judged(owner: Actor, text: str = "Hi", verdict: Verdict = Verdict.TIE) -> Battle:
    battle = fought(owner, text)
    vote_cast(actor=owner, battle_id=battle.public_id, verdict=verdict)
    return battle


def held(kind: HeldKind, thing: User | Visitor | Conversation | Battle, by: User, *, is_told: bool = True) -> LegalHold:
    also = []
    if isinstance(thing, Battle):
        also = [side.conversation.public_id for side in thing.sides.all() if side.conversation]
    return hold_place(kind=kind, subject=thing.public_id, also=also, reason="Case 7", is_told=is_told, placed_by=by)


def carried_out(request: ErasureRequest) -> ErasureRequest:
    """As far as it goes now."""
    ErasureRequest.objects.filter(pk=request.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    erasure_advance(request.pk)
    request.refresh_from_db()
    return request
