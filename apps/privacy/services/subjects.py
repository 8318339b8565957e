"""Whom or what an administrator names: for a hold, or for somebody who asked by letter to be erased."""

from uuid import UUID

from django.db.models import Q

from apps.accounts.models import User, Visitor
from apps.arena.models import Battle, Side
from apps.conversations.models import Conversation
from apps.core.texts import clean_text
from apps.holds.models import HeldKind
from apps.privacy.errors import SubjectUnknown


def user_named(name: str) -> User:
    """By user name, e-mail address or public id. Raises: SubjectUnknown, also when two accounts have the address."""
    name = clean_text(name).strip()
    named = Q(username__iexact=name) | Q(email__iexact=name)
    if (public_id := _uuid(name)) is not None:
        named |= Q(public_id=public_id)
    found = list(User.objects.filter(named)[:2]) if name else []
    if len(found) != 1:
        raise SubjectUnknown
    return found[0]


def visitor_named(name: str) -> UUID:
    """By public id. Raises: SubjectUnknown."""
    public_id = _id_in(name)
    if not Visitor.objects.filter(public_id=public_id).exists():
        raise SubjectUnknown
    return public_id


def held_named(kind: HeldKind, name: str) -> tuple[UUID, list[UUID]]:
    """The public id of what is to be held, and those of what is held with it. Raises: SubjectUnknown."""
    match kind:
        case HeldKind.USER:
            return user_named(name).public_id, []
        case HeldKind.VISITOR:
            return visitor_named(name), []
        case HeldKind.CONVERSATION:
            conversation = Conversation.objects.filter(public_id=_id_in(name)).first()
            if conversation is None:
                raise SubjectUnknown
            side = Side.objects.filter(conversation=conversation).select_related("battle").first()
            # The sides of a battle go together, so they are kept together.
            return conversation.public_id, [] if side is None else [side.battle.public_id, *_sides_of(side.battle)]
        case HeldKind.BATTLE:
            battle = Battle.objects.filter(public_id=_id_in(name)).first()
            if battle is None:
                raise SubjectUnknown
            return battle.public_id, _sides_of(battle)


def _sides_of(battle: Battle) -> list[UUID]:
    kept = battle.sides.filter(conversation__isnull=False)
    return list(kept.values_list("conversation__public_id", flat=True))


def _id_in(text: str) -> UUID:
    if (public_id := _uuid(text)) is None:
        raise SubjectUnknown
    return public_id


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
