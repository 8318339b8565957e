"""What somebody said is taken out of the versions of datasets too, which nobody else can change."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.datasets.formats.writing import Written
from apps.datasets.models import DatasetRow, DatasetVersion, Origin, SourceRecord
from apps.datasets.services.derived import versions_merge
from apps.datasets.services.erasure import dataset_rows_erase
from apps.datasets.services.versions import Draft, SetDraft, version_delete, version_store
from apps.datasets.sources import Source
from apps.holds.errors import Held
from apps.holds.models import HeldKind
from apps.holds.services import hold_place
from apps.privacy.models import ErasureState
from apps.privacy.services.erasures import erasure_ask
from tests.datasets.site import agree
from tests.privacy.conftest import carried_out, chat_of
from tests.privacy.traces import in_tables

pytestmark = pytest.mark.django_db

MARK = "zanzibarquokka"


def version_of(*owners: User | None, conversation: UUID | None = None) -> DatasetVersion:
    """One row, with its source, for each; the text of a person's has the mark in it."""
    texts = [MARK if owner else "from a file" for owner in owners]
    rows = [
        {
            "id": f"{text}-{n}",
            "messages": [{"role": "user", "content": text}],
            "source": {"file": "site", "record": n, "steps": []},
        }
        for n, text in enumerate(texts)
    ]
    lines = [json.dumps(row).encode() for row in rows]
    sources = [
        Source("site", n, "messages", json.dumps(text), owner.pk if owner else None, conversation)
        for n, (text, owner) in enumerate(zip(texts, owners, strict=True))
    ]
    version, _ = version_store(
        Draft("tea", Origin.CLEAN, {}, []),
        {"all": SetDraft(lines, {**Written().as_dict(), "steps": []})},
        lambda wanted: sources,
    )
    return version


def test_an_erasure_empties_the_rows_of_a_person_and_leaves_the_others(alice: User, bob: User) -> None:
    version = version_of(alice, None, bob)
    request = erasure_ask(user=alice, visitor_public_id=None)
    assert carried_out(request).state == ErasureState.ERASED
    mine, files, bobs = DatasetRow.objects.order_by("position")
    assert (mine.line, mine.record_id) == (None, "")
    assert "from a file" in str(files.line)
    assert MARK in str(bobs.line)
    assert SourceRecord.objects.get(record=0).value is None
    assert SourceRecord.objects.get(record=2).user == bob
    version.refresh_from_db()
    assert (version.n_rows, version.sets["all"]["n_rows"]) == (3, 3)
    assert carried_out(erasure_ask(user=bob, visitor_public_id=None)).state == ErasureState.ERASED
    assert in_tables(MARK) == set()


def test_who_is_erased_while_versions_are_merged_is_not_stored_again(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []
    for owner, owners in ((alice, (alice, None)), (bob, (None, bob))):
        agree(Actor(user_id=owner.pk))
        chat = chat_of(Actor(user_id=owner.pk), MARK)
        parts.append((version_of(*owners, conversation=chat.public_id), "all"))

    def late(*args: Any) -> tuple[DatasetVersion, bool]:
        """All rows have been read."""
        dataset_rows_erase(Actor(user_id=alice.pk), held=())
        return version_store(*args)

    monkeypatch.setattr("apps.datasets.services.derived.version_store", late)
    merged, _ = versions_merge("both", parts, licence="")
    mine, files, _, bobs = DatasetRow.objects.filter(version=merged).order_by("position")
    assert (mine.line, mine.record_id) == (None, "")
    assert "from a file" in str(files.line)
    assert MARK in str(bobs.line)


@pytest.mark.parametrize("kind", [HeldKind.USER, HeldKind.CONVERSATION])
def test_a_hold_keeps_rows_too(alice: User, admin_user: User, kind: HeldKind) -> None:
    chat = uuid4()
    version = version_of(alice, conversation=chat)
    subject = alice.public_id if kind is HeldKind.USER else chat
    hold_place(kind=kind, subject=subject, reason="Case 7", is_told=True, placed_by=admin_user)
    assert dataset_rows_erase(Actor(user_id=alice.pk), {subject}) == 0
    with pytest.raises(Held):
        version_delete(version)
    # Also if somebody looks past the services.
    for change in (version.delete, lambda: dataset_rows_erase(Actor(user_id=alice.pk), ())):
        with pytest.raises(IntegrityError, match="legal hold"), transaction.atomic():
            change()
    assert MARK in str(DatasetRow.objects.get().line)
