"""What `web` opens: chats of every length, a long history, a board of many models. Runs inside the site's Django.

It prints one line of JSON: whose sessions they are, where the chats are, and how many queries each page asks.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Contestant, Position, Side, Verdict, Vote
from apps.arena.models.entries import DEFAULT_SLUG
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Role
from apps.conversations.services.planting import Seed, messages_plant
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.services import snapshot_build

N_MODELS, N_VOTES = 100, 20_000
AT_ONCE = 5_000
ANSWER = """Foxes are **small** to medium-sized animals, of which $n = 12$ are *true* foxes:

1. The red fox, which lives nearly everywhere.
2. The arctic fox, which turns white in winter.

```python
def fox(n: int) -> str:
    return f"fox number {n}"
```

| name | weight |
|---|---|
| red | 5 kg |
| arctic | 3 kg |

That is all that there is to say about number {}.
"""


@dataclass(frozen=True, slots=True)
class Data:
    """`chats`: addresses by the number of messages. `queries`: by address."""

    session: str
    collector: str
    """The session of whoever has the long history."""
    chats: dict[int, str]
    queries: dict[str, int]


def prepare(lengths: tuple[int, ...], n_history: int) -> None:
    """Make it all, and print where it is."""
    model, _ = LanguageModel.objects.get_or_create(name="benchmark")
    writer, collector = (User.objects.create_user(f"bench-{name}") for name in ("writer", "collector"))
    chats = {length: f"/chat/{_chat(writer, model, length).public_id}" for length in lengths}
    history = f"/chat/{_chat(collector, model, lengths[0]).public_id}"
    _history(collector, n_history)
    board_publish(tuple(f"model-{number:03d}" for number in range(N_MODELS)), N_VOTES)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    pages = [(writer, chat) for chat in chats.values()] + [(collector, page) for page in (history, "/chat", "/chats")]
    queries = {page: _queries(user, page) for user, page in [*pages, (writer, "/leaderboard")]}
    found = Data(_session(writer), _session(collector), chats | {0: history}, queries)
    print(json.dumps(asdict(found)))


@transaction.atomic
def _chat(owner: User, model: LanguageModel, n_messages: int) -> Conversation:
    """Its messages differ, so that nothing is rendered once for all of them."""
    now = timezone.now()
    chat = Conversation.objects.create(user=owner, title=f"{n_messages} messages", updated_at=now)
    seeds = [
        Seed(n - 1, Role.ASSISTANT, ANSWER.replace("{}", str(n)), model, "", now)
        if n % 2
        else Seed(n - 1 if n else None, Role.USER, f"Tell me more, part {n}", None, "", now)
        for n in range(n_messages)
    ]
    chat.active_leaf = messages_plant(chat, seeds)[-1]
    chat.save()
    return chat


def _history(owner: User, n: int) -> None:
    now = timezone.now()
    for first in range(0, n, AT_ONCE):
        Conversation.objects.bulk_create(
            Conversation(user=owner, title=f"About number {number}", updated_at=now, folder="Zoo" if number % 7 else "")
            for number in range(first, min(first + AT_ONCE, n))
        )


@transaction.atomic
def board_publish(names: tuple[str, ...], n_votes: int) -> None:
    """The board of drawn votes on models that are as strong as they stand in the list, each with its entry."""
    random, arena = np.random.default_rng(1), Arena.objects.get(slug=DEFAULT_SLUG)
    rows = Contestant.objects.bulk_create(Contestant(arena=arena, name=name, is_automatic=False) for name in names)
    strengths = np.linspace(1.2, -1.2, len(names))
    first = random.integers(0, len(names), n_votes)
    second = (first + random.integers(1, len(names), n_votes)) % len(names)
    won = random.random(n_votes) < 1 / (1 + np.exp(strengths[second] - strengths[first]))
    battles = Battle.objects.bulk_create((Battle(arena=arena) for _ in range(n_votes)), batch_size=AT_ONCE)
    Side.objects.bulk_create(
        (
            Side(battle=battle, position=position, contestant=rows[one])
            for battle, *two in zip(battles, first, second, strict=True)
            for position, one in zip(Position.values, two, strict=True)
        ),
        batch_size=AT_ONCE,
    )
    votes = (
        Vote(battle=battle, verdict=Verdict.A if a_won else Verdict.B, n_turns=1)
        for battle, a_won in zip(battles, won, strict=True)
    )
    Vote.objects.bulk_create(votes, batch_size=AT_ONCE)
    snapshot_build(arena, BoardConfig())


def _queries(user: User, page: str) -> int:
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    client.get(page)  # what is asked once for all
    with CaptureQueriesContext(connection) as asked:
        reply = client.get(page)
    if reply.status_code != 200:
        raise RuntimeError(f"{page}: {reply.status_code}")
    return len(asked)


def _session(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.save()
    return str(session.session_key)
