"""What moderation says stands beside a conversation: nothing is dropped, and nothing is left out unsaid."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.datasets.records import Record, dumped
from apps.datasets.steps.moderation import ModerationTags
from apps.moderation import selectors
from apps.moderation.errors import NothingSetUp
from apps.moderation.models import Rule
from tests.datasets.support import Notes, talk
from tests.moderation.conftest import classifier, verdict
from tests.workers.stand_in import StandIn, standing_in, whole

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def look_anew() -> Iterator[None]:
    selectors.forget()
    yield
    selectors.forget()


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


def rude() -> None:
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother")


def tagged(record: Record) -> tuple[dict[str, Any], Notes]:
    before = [message.content for message in record.messages]
    notes = Notes()
    assert ModerationTags().apply(record, notes) is record
    assert [message.content for message in record.messages] == before
    assert record.steps == []
    return record.fields, notes


def test_what_rules_find_is_a_tag(server: StandIn) -> None:
    rude()
    fields, notes = tagged(talk("ua", "Oh bother.", "Now, now."))
    assert fields == {"moderation": {"rude": 1.0}, "moderation_flagged": ["rude"]}
    assert notes == {"flagged: rude": 1}
    assert tagged(talk("ua", "Hi", "Ho")) == ({"moderation": {"rude": 0.0}}, {})


def test_a_category_has_the_likelihood_of_the_message_where_it_is_likeliest(server: StandIn) -> None:
    rude()
    classifier(server)
    server.replies.append(whole({"results": [verdict(hate=False), verdict(hate=True, violence=False)]}))
    fields, notes = tagged(talk("uat", "Hi", "Grr", " "))
    assert fields["moderation"] == {"hate": 0.9, "rude": 0.0, "violence": 0.1}
    assert fields["moderation_flagged"] == ["hate"]
    assert [asked.body["input"] for asked in server.asked] == [["Hi", "Grr"]]
    assert notes == {"flagged: hate": 1}


def test_what_nobody_could_judge_says_so_and_may_be_judged_later(server: StandIn) -> None:
    classifier(server)
    record = talk("ua", "Hi", "Grr")
    server.replies.append(whole({"error": "busy"}, 500))
    fields, notes = tagged(record)
    assert list(fields) == ["moderation_unchecked"]
    assert "HTTP 500" in fields["moderation_unchecked"]
    assert notes == {"not judged in time": 1}
    server.replies.append(whole({"results": [verdict(hate=True)] * 2}))
    assert list(tagged(record)[0]) == ["moderation", "moderation_flagged"]


def test_to_tag_twice_is_to_tag_once() -> None:
    rude()
    record = talk("ua", "Oh bother.", "Now, now.")
    tagged(record)
    before = dumped(record)
    tagged(record)
    assert dumped(record) == before


def test_without_anybody_who_judges_the_run_ends_at_once() -> None:
    with pytest.raises(NothingSetUp):
        tagged(talk("ua", "Hi", "Ho"))
