"""No page asks the database more often because there is more to show: 60 rows cost as many queries as 10."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.arena.models import Arena, Contestant
from apps.arena.models.entries import DEFAULT_SLUG
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Message
from apps.conversations.services.shares import share_create
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.services import snapshot_build
from tests.conversations.test_long_chats import long_chat
from tests.leaderboard.support import vote

pytestmark = pytest.mark.django_db

Make = Callable[[User, int], str]
"""Give somebody so many rows, and return the page that shows them."""


def _model() -> LanguageModel:
    return LanguageModel.objects.get_or_create(name="owl")[0]


def _messages(user: User, n: int) -> str:
    return f"/chat/{long_chat(user, _model(), n).public_id}"


def _chats(user: User, n: int) -> None:
    now = timezone.now()
    chats = [Conversation(user=user, title=f"About owls {i}", updated_at=now, folder=f"{i % 5}") for i in range(n)]
    made = Conversation.objects.bulk_create(chats)
    Message.objects.bulk_create(Message(conversation=chat, role="user", content="On owls") for chat in made)


def _history(page: str) -> Make:
    def make(user: User, n: int) -> str:
        _chats(user, n)
        return page

    return make


def _shares(user: User, n: int) -> str:
    for _ in range(n):
        chat = long_chat(user, _model(), 2)
        share_create(actor=Actor(user_id=user.pk), conversation_id=chat.public_id, lasts=None)
    return "/chats/shared"


def _keys(user: User, n: int) -> str:
    for i in range(n):
        api_key_create(name=f"{user.username} {n} {i}", user=user)
    return "/account/keys"


def _models(page: str) -> Make:
    def make(user: User, n: int) -> str:
        LanguageModel.objects.bulk_create(LanguageModel(name=f"model {n} {i}") for i in range(n))
        return page

    return make


def _board(user: User, n: int) -> str:
    """Each has beaten the next one, and the last one the first."""
    arena = Arena.objects.get(slug=DEFAULT_SLUG)
    contestants = [Contestant.objects.create(arena=arena, name=f"m {n} {i}", is_automatic=False) for i in range(n)]
    for winner, loser in pairwise([*contestants, contestants[0]]):
        vote(winner, loser)
    snapshot_build(arena, BoardConfig(min_battles=1))
    return "/leaderboard"


PAGES: dict[str, Make] = {
    "a chat, by messages": _messages,
    "a new chat, by history": _history("/chat"),
    "a new chat, by models": _models("/chat"),
    "all chats": _history("/chats"),
    "a search": _history("/chats/search?q=owls"),
    "shared chats": _shares,
    "API keys": _keys,
    "the arena, by models": _models("/arena"),
    "side by side, by models": _models("/arena/side-by-side"),
    "the leaderboard, by models": _board,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_more_rows_asks_no_more_queries(name: str, alice: User, bob: User, rules_loaded: None) -> None:
    few, many = (_queries(user, PAGES[name](user, n)) for user, n in ((alice, 10), (bob, 60)))
    assert few == many


def _queries(user: User, page: str) -> int:
    client = Client()
    client.force_login(user)
    client.get(page)  # what is asked once for all
    with CaptureQueriesContext(connection) as asked:
        assert client.get(page).status_code == 200
    return len(asked)
