"""Long chats open fast, however long they are in the making: as many queries for 10 messages as for 5,000."""

from time import process_time

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.markdown.kept import KeptHtml
from apps.conversations.models import Conversation, Role
from apps.conversations.services.planting import Seed, messages_plant

OPENS_WITHIN_S = 1.0
ANSWER = """Foxes are **small** to medium-sized animals, of which $n = 12$ are *true* foxes:

1. The red fox, which lives nearly everywhere.
2. The arctic fox.

```python
def fox(n: int) -> str:
    return f"fox number {n}"
```

| name | weight |
|---|---|
| red | 5 kg |

That is all that there is to say about number {}.
"""


def long_chat(owner: User, model: LanguageModel, n_messages: int, answer: str = ANSWER) -> Conversation:
    """Its messages differ, so that nothing is rendered once for all of them."""
    chat = Conversation.objects.create(user=owner, title="Long", updated_at=timezone.now())
    now = timezone.now()
    seeds = [
        Seed(n - 1 if n else None, Role.ASSISTANT, answer.replace("{}", str(n)), model, "", now)
        if n % 2
        else Seed(n - 1 if n else None, Role.USER, f"Tell me more, part {n}", None, "", now)
        for n in range(n_messages)
    ]
    chat.active_leaf = messages_plant(chat, seeds)[-1]
    chat.save()
    return chat


@pytest.fixture
def alices_client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def opened(client: Client, chat: Conversation) -> tuple[int, float]:
    """Queries, and seconds of this process: other work on the machine must not count."""
    with CaptureQueriesContext(connection) as queries:
        start = process_time()
        response = client.get(f"/chat/{chat.public_id}")
        took_s = process_time() - start
    assert response.status_code == 200
    return len(queries), took_s


def test_a_chat_of_500_messages_opens_in_under_a_second(
    alice: User, model: LanguageModel, alices_client: Client
) -> None:
    # Each has texts of its own, so none is known from another one.
    chats = [long_chat(alice, model, 500, f"{ANSWER}\nTold once, in chat {n}.") for n in range(3)]
    best_s = min(opened(alices_client, chat)[1] for chat in chats)
    assert best_s < OPENS_WITHIN_S


def test_a_chat_that_was_open_before_opens_in_less_than_half_of_the_time(
    alice: User, model: LanguageModel, alices_client: Client
) -> None:
    chat = long_chat(alice, model, 500, ANSWER * 4)
    first_s = opened(alices_client, chat)[1]
    assert min(opened(alices_client, chat)[1] for _ in range(3)) < first_s / 2


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    rendered: list[str] = []

    def render(text: str) -> str:
        rendered.append(text)
        return text * 10

    kept = KeptHtml(render, max_chars=100)
    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa"):
        assert kept(text) == text * 10
        assert kept.n_chars <= 100
    assert rendered == ["aaaa", "bbbb", "cccc"]  # what was asked for again stays, and the other goes
    kept("bbbb")
    assert rendered[-1] == "bbbb"
    assert len(kept("x" * 50)) == 500  # too long to be kept, and shown all the same
    assert kept.n_chars <= 100


def test_a_message_that_was_changed_is_shown_as_it_is_now(
    alice: User, model: LanguageModel, alices_client: Client
) -> None:
    chat = long_chat(alice, model, 2, "A **secret**.")
    assert "<strong>secret</strong>" in alices_client.get(f"/chat/{chat.public_id}").content.decode()
    chat.messages.filter(role=Role.ASSISTANT).update(content="[removed]")
    assert "secret" not in alices_client.get(f"/chat/{chat.public_id}").content.decode()


def test_the_queries_do_not_grow_with_the_chat_nor_with_the_history(
    alice: User, model: LanguageModel, alices_client: Client
) -> None:
    short = long_chat(alice, model, 10)
    opened(alices_client, short)  # what is asked once for all
    n_short, _ = opened(alices_client, short)
    Conversation.objects.bulk_create(
        Conversation(user=alice, title=f"Chat {n}", updated_at=timezone.now()) for n in range(1_000)
    )
    n_long, _ = opened(alices_client, long_chat(alice, model, 2_000, "Yes, {}."))
    assert n_long == n_short
