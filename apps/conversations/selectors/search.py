"""Search in one person's chats, by titles and by what was said in any branch.

Postgres' index finds words and beginnings of words. Scripts without spaces between words are searched letter by letter.
A search ends after `WITHIN_MS`, however much there is.
"""

import re
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db import OperationalError, connection, transaction
from django.db.models import Func, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Left

from apps.accounts.actors import Actor
from apps.conversations.errors import SearchTooBroad
from apps.conversations.models import MESSAGE_WORDS, SEARCHED_CHARS, Message, Role
from apps.conversations.selectors.conversations import conversations_owned
from apps.conversations.selectors.history import conversation_url
from apps.conversations.snippets import Snippet, snippet_of
from apps.core.texts import clean_text

QUERY_MAX_CHARS = 200
WORDS_MAX = 8
FOUND_MAX = 50
WITHIN_MS = 2000

N_AROUND = 200
"""More than a snippet shows on either side, so that it can tell whether there is more."""

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_OPERATORS = re.compile(r'"|(?:^|\s)-\w|\sor\s', re.IGNORECASE)
"""What `websearch_to_tsquery` reads as more than words: beginnings of words would find what these leave out."""
_QUERY_CANCELED = "57014"
"""Source: PostgreSQL, "Error Codes"."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chat whose title was found, or a message; `url` opens it, in the branch in which it is."""

    conversation: UUID
    title: str
    url: str
    snippet: Snippet | None
    who: str


def chats_search(actor: Actor, text: str) -> list[Hit]:
    """At most `FOUND_MAX` of each kind, titles first, the newest first.

    Raises: SearchTooBroad: it took too long.
    """
    text = " ".join(clean_text(text).split())[:QUERY_MAX_CHARS]
    words = re.findall(r"\w+", text)[:WORDS_MAX]
    if not words:
        return []
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(WITHIN_MS)])
            return _titles(actor, text) + _messages(actor, text, words)
    except OperationalError as exc:
        if getattr(exc.__cause__, "sqlstate", None) != _QUERY_CANCELED:
            raise
        raise SearchTooBroad from exc


def _titles(actor: Actor, text: str) -> list[Hit]:
    found = conversations_owned(actor).filter(title__icontains=text).order_by("-updated_at")[:FOUND_MAX]
    return [Hit(c.public_id, c.title, conversation_url(c.public_id), None, "") for c in found]


def _messages(actor: Actor, text: str, words: list[str]) -> list[Hit]:
    own = Message.objects.filter(conversation__in=conversations_owned(actor), is_whole=True).select_related(
        "conversation", "model"
    )
    own = own.defer("content").annotate(around=_around(words))
    found = _containing(own, text) if _is_unspaced(text) else _matching(own, text, words)
    return [
        Hit(
            message.conversation.public_id,
            message.conversation.title,
            f"{conversation_url(message.conversation.public_id)}#message-{message.public_id}",
            snippet_of(message.around, words),  # type: ignore[attr-defined]  # annotated above
            "You" if message.role == Role.USER else message.author or "Answer",
        )
        for message in found.order_by("-pk")[:FOUND_MAX]
    ]


def _around(words: list[str]) -> Coalesce:
    """As much of a message as a snippet needs: the rest of it, which may be long, stays in the database."""
    any_of = "|".join(words)  # letters, digits and underscores: nothing that means something in a pattern
    near = [f"(?i).{{0,{N_AROUND}}}{start}(?:{any_of}).{{0,{N_AROUND}}}" for start in (r"\m", "")]
    found = [_Substring(Left("content", SEARCHED_CHARS), Value(pattern)) for pattern in near]
    return Coalesce(*found, Left("content", N_AROUND), output_field=TextField())


class _Substring(Func):
    """The first part of a text that a pattern matches. Source: PostgreSQL, "POSIX Regular Expressions"."""

    function = "SUBSTRING"
    arg_joiner = " FROM "
    output_field = TextField()


def _matching(messages: QuerySet[Message], text: str, words: list[str]) -> QuerySet[Message]:
    query = SearchQuery(text, config="simple", search_type="websearch")
    if _OPERATORS.search(text):
        return messages.annotate(words=MESSAGE_WORDS).filter(words=query)
    beginnings = " & ".join(f"{word}:*" for word in words)
    query |= SearchQuery(beginnings, config="simple", search_type="raw")
    return messages.annotate(words=MESSAGE_WORDS).filter(words=query)


def _containing(messages: QuerySet[Message], text: str) -> QuerySet[Message]:
    return messages.filter(content__icontains=text)


def _is_unspaced(text: str) -> bool:
    return any(unicodedata.name(character, "").startswith(_UNSPACED) for character in text)
