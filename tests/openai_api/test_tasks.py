"""The messages about batches: one chain for each, and none that outlives its use."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.conf import settings

from apps.accounts.services import NewKey
from apps.openai_api.selectors import batches_free
from apps.openai_api.tasks import SWEEP_S, batch_advance_task, batches_advance_task, nudge
from tests.openai_api.batch_support import line, new_batch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """What is sent to the broker, as it goes there."""
    messages: list[dict[str, Any]] = []

    def note(body: Any, headers: dict[str, Any], routing_key: str, **_: object) -> None:
        messages.append({"arguments": body[0], "expires": headers["expires"], "queue": routing_key})

    before_task_publish.connect(note, weak=False)
    yield messages
    before_task_publish.disconnect(note)


def test_a_batch_has_one_chain_of_turns_however_many_messages_there_are(
    key: NewKey, sent: list[dict[str, Any]]
) -> None:
    batch = new_batch(key, line("a", model="nowhere"))
    batch_advance_task(batch.pk)
    [following] = sent
    assert following["arguments"][0] == batch.pk

    batch_advance_task(batch.pk)
    batches_advance_task()
    assert sent == [following], "the lease is with the message that is on its way"
    assert batches_free(9) == []

    batch_advance_task(*following["arguments"])
    batch_advance_task(*following["arguments"])
    assert len(sent) == 2, "a message that comes twice goes on once"


def test_no_message_stays_for_ever_and_all_have_a_queue_of_their_own(key: NewKey, sent: list[dict[str, Any]]) -> None:
    batch = new_batch(key, line("a"))
    nudge(batch.pk)
    batches_advance_task()
    batch_advance_task(batch.pk)
    assert len(sent) == 3
    assert all(message["expires"] for message in sent)
    assert {message["queue"] for message in sent} == {"batches"}
    sweep: Any = settings.CELERY_BEAT_SCHEDULE["batches-advance"]
    assert sweep["schedule"] == sweep["options"]["expires"] == SWEEP_S
