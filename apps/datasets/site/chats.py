"""A chat as a record: the branch that is shown, up to the first answer that is not whole."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from apps.conversations.models import Conversation, Message, Purpose
from apps.datasets.records import Role
from apps.datasets.site.asked import Asked, Found, Origin, Why
from apps.datasets.site.paths import Path, Turn, paths_read, record_id


def chats_asked(asked: Asked) -> QuerySet[Conversation]:
    found = Conversation.objects.filter(purpose=Purpose.CHAT)
    if asked.since is not None:
        found = found.filter(created_at__gte=asked.since)
    return found if asked.until is None else found.filter(created_at__lt=asked.until)


def chats_read(keys: Sequence[int], asked: Asked) -> Iterator[Found | Why]:
    chats = Conversation.objects.filter(pk__in=keys).order_by("pk")
    for chat, path in paths_read(list(chats)):
        yield path.why_not() or _chat(chat, path, asked)


def _chat(chat: Conversation, path: Path, asked: Asked) -> Found | Why:
    turns = path.turns()
    if not turns:
        return Why.NOT_WHOLE
    models = list(dict.fromkeys(_model(answer) for _, answer in turns))
    if asked.model and models != [asked.model]:
        return Why.OTHER_MODEL
    thumbs = Counter(thumb for _, answer in turns if (thumb := _thumb(answer)))
    value: dict[str, Any] = {"id": record_id(chat.public_id)}
    value |= {"model": models[0]} if len(models) == 1 else {"models": models}
    value |= {f"feedback_{thumb}": n for thumb, n in sorted(thumbs.items())}
    value["messages"] = [*system_of(chat.system_prompt), *(one for turn in turns for one in _said(turn))]
    keys = tuple(message.pk for turn in turns for message in turn)
    return Found(value, Origin((str(chat.public_id),), keys))


def system_of(prompt: str) -> list[dict[str, Any]]:
    return [{"role": str(Role.SYSTEM), "content": prompt}] if prompt.strip() else []


def _said(turn: Turn) -> Iterator[dict[str, Any]]:
    question, answer = turn
    yield {"role": str(Role.USER), "content": question.content}
    thumb = _thumb(answer)
    yield {"role": str(Role.ASSISTANT), "content": answer.content, **({"feedback": thumb} if thumb else {})}


def _thumb(answer: Message) -> str:
    """Up or down; what else its person wrote about it was not meant for models."""
    feedback = getattr(answer, "feedback", None)
    return "" if feedback is None else "up" if feedback.is_good else "down"


def _model(answer: Message) -> str:
    return answer.model.name if answer.model is not None else answer.written_by
