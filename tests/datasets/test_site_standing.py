"""What becomes of rows of the site when moderators later take something out of what they were made of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apps.accounts.actors import Actor
from apps.arena.models import Battle, Verdict
from apps.conversations.models import Conversation, Message, Role
from apps.datasets.errors import DerivationWrong, ReleaseRefused
from apps.datasets.models import DatasetVersion, SourceRecord
from apps.datasets.names import reference_read
from apps.datasets.selectors import version_get
from apps.datasets.services.derived import version_renew
from apps.datasets.services.erasure import dataset_rows_erase
from apps.datasets.services.releases import release_decide
from apps.datasets.site.asked import UNUSABLE
from tests.datasets.site import agree, chat, clean_site
from tests.datasets.test_releases import proposed, run, staff
from tests.datasets.test_site_input import (
    appealed,
    found_harmful,
    incident,
    judged,
    looked_at,
    owls,
    prompt_looked_at,
    prompt_redacted,
    redacted,
)

__all__ = ["owls"]

pytestmark = pytest.mark.django_db


def answer_deleted(one: Conversation) -> None:
    one.messages.filter(role=Role.ASSISTANT).delete()


def kept(name: str) -> list[str]:
    """What each row of the newest version begins with."""
    lines = version_get(reference_read(name)).rows.order_by("position").values_list("line", flat=True)
    return ["Bad" if "Bad" in str(line) else "Good" for line in lines]


@pytest.mark.parametrize(
    "change",
    [redacted, prompt_redacted, found_harmful, looked_at, prompt_looked_at, appealed, answer_deleted],
)
def test_of_what_moderators_took_something_out_nothing_is_released_or_in_a_later_version(
    tmp_path: Path, alices: Actor, change: Callable[[Conversation], None]
) -> None:
    agree(alices)
    bad, _ = chat(alices, "Bad?", "Yes."), chat(alices, "Good?", "Yes.")
    clean_site(tmp_path, "--licence", "MIT")
    version = DatasetVersion.objects.get()
    owl, fox = staff("owl", "add_datasetrelease"), staff("fox", "approve_datasetrelease")
    release = proposed(owl, version)
    change(bad)
    with pytest.raises(ReleaseRefused, match="1 of its rows may be used no more"):
        release_decide(release, is_approved=True, reason="Good.", by=fox)
    release_decide(release, is_approved=False, reason="Taken out.", by=fox)
    with pytest.raises(ReleaseRefused, match=f"consent: 1 rows: {UNUSABLE}"):
        proposed(owl, version)
    newest, _ = version_renew(version)
    assert kept("tea") == ["Good"]
    assert newest.sets["all"]["steps"][-1]["dropped"] == {UNUSABLE: 1}
    proposed(owl, newest)


def test_a_merge_is_without_them_too(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    bad, _ = chat(alices, "Bad?", "Yes."), chat(alices, "Good?", "Yes.")
    clean_site(tmp_path)
    clean_site(tmp_path, name="next", dataset="green")
    redacted(bad)
    run("merge", "both", "tea", "green")
    assert kept("both") == ["Good"]


def test_what_was_not_taken_says_nothing_of_what_was(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    one = chat(alices, "Good?", "Yes.")
    clean_site(tmp_path)
    later = Message.objects.create(conversation=one, parent=one.active_leaf, role=Role.USER, content="[removed]")
    incident(later.public_id)
    with pytest.raises(DerivationWrong, match="all of it may be used"):
        version_renew(DatasetVersion.objects.get())


def of_battle(battle: Battle) -> None:
    incident(battle.public_id)


def of_other_side(battle: Battle) -> None:
    side = battle.sides.order_by("pk").last()
    assert side is not None
    assert side.conversation is not None
    redacted(side.conversation)


@pytest.mark.parametrize("change", [of_battle, of_other_side])
def test_of_a_battle_both_sides_and_the_battle_itself_are_looked_at(
    tmp_path: Path, alices: Actor, owls: None, change: Callable[[Battle], None]
) -> None:
    agree(alices)
    bad, _ = judged(alices, "Bad?", Verdict.A), judged(alices, "Good?", Verdict.A)
    clean_site(tmp_path, of="site:battles")
    change(bad)
    version_renew(DatasetVersion.objects.get())
    assert kept("tea") == ["Good", "Good"]


def test_an_erasure_empties_the_keys_of_messages_too(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    chat(alices, "Good?", "Yes.")
    clean_site(tmp_path)
    assert SourceRecord.objects.get().messages == list(Message.objects.order_by("pk").values_list("pk", flat=True))
    dataset_rows_erase(alices, [])
    assert SourceRecord.objects.get().messages is None
