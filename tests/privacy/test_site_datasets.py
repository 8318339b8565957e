"""Versions that were made of the site's own chats and battles: what an erasure, a withdrawal and a hold do to them."""

import io
import json
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User
from apps.conversations.models import Conversation
from apps.datasets import cleaning
from apps.datasets.folder import folder_read
from apps.datasets.models import DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.services.versions import version_delete
from apps.datasets.site.asked import UNUSABLE
from apps.holds.errors import Held
from apps.holds.models import HeldKind
from apps.moderation.models import Opening
from apps.privacy.models import ErasureState
from apps.privacy.services.erasures import erasure_ask
from tests.arena.support import fought, model_ready
from tests.datasets.site import agree, chat, clean_site, rows_in, said_in
from tests.privacy.conftest import carried_out, held
from tests.privacy.traces import in_tables

pytestmark = pytest.mark.django_db

MARK = "zanzibarquokka"


def dataset(*arguments: object) -> str:
    out = io.StringIO()
    call_command("dataset", *map(str, arguments), stdout=out)
    return out.getvalue()


def texts_of(version: str) -> list[str]:
    """The first message of each row that is not erased."""
    name, number = version.split("@")
    rows = DatasetRow.objects.filter(version__dataset__name=name, version__number=number, line__isnull=False)
    return [json.loads(row.line or "")["messages"][0]["content"] for row in rows.order_by("set_name", "position")]


def erased(*, user: User | None = None, visitor: UUID | None = None) -> None:
    assert carried_out(erasure_ask(user=user, visitor_public_id=visitor)).state == ErasureState.ERASED


def test_after_an_erasure_nothing_of_it_is_in_any_version(
    client: Client, tmp_path: Path, alice: User, alices: Actor, bob: User, admin_user: User
) -> None:
    for actor, text in ((alices, MARK), (Actor(user_id=bob.pk), "Bob's")):
        agree(actor)
        chat(actor, text, f"You said {text}", prompt=text)
    for name in ("owl-7c", "fox-13c"):
        model_ready(name)
    fought(alices, MARK)
    clean_site(tmp_path)
    clean_site(tmp_path, of="site:battles", name="battles", dataset="fights")
    dataset("merge", "both", "tea", "fights")
    client.force_login(admin_user)
    assert MARK in client.get("/datasets/tea/1/all/0").content.decode()
    assert Opening.objects.get().owner == alice
    client.force_login(alice)
    assert "records in datasets: 4" in client.get("/account/erase").content.decode()

    erased(user=alice)

    assert in_tables(MARK) == set()
    client.force_login(admin_user)
    for version, n in (("tea", 2), ("fights", 2), ("both", 4)):
        for place in range(n):
            page = client.get(f"/datasets/{version}/1/all/{place}").content.decode()
            assert MARK not in page
    row = DatasetRow.objects.get(version__dataset__name="tea", position=0)
    assert (row.line, row.record_id) == (None, "")
    assert MARK not in client.get(f"/admin/datasets/datasetrow/{row.pk}/change/").content.decode()
    assert "It was erased." in dataset("inspect", "tea", "--row", "0")
    assert texts_of("tea@1") == ["Bob's"]
    clean_site(tmp_path, name="next")
    assert [row["messages"][1]["content"] for row in rows_in(tmp_path / "next")] == ["Bob's"]


def test_without_sources_an_erasure_finds_the_rows_all_the_same(tmp_path: Path, alice: User, alices: Actor) -> None:
    agree(alices)
    chat(alices, MARK, "Yes.")
    clean_site(tmp_path, "--without-sources")
    assert SourceRecord.objects.get().value is None
    erased(user=alice)
    assert in_tables(MARK) == set()


def test_what_is_taken_back_is_in_no_later_version_and_stays_in_those_there_are(
    tmp_path: Path, alices: Actor, bob: User
) -> None:
    bobs = [f"Bob's {n}" for n in range(8)]
    for actor, texts in ((alices, ["Alice's", "Her second"]), (Actor(user_id=bob.pk), bobs)):
        agree(actor)
        for text in texts:
            chat(actor, text, "Yes.")
    clean_site(tmp_path)
    clean_site(tmp_path, "--model", "owl-7b", name="other", dataset="other")
    agree(alices, is_given=False)
    clean_site(tmp_path, name="next")
    dataset("merge", "both", "tea@1", "other")
    dataset("split", "tea@1", "--into", "halves", "--test-share", "0.5")
    assert texts_of("tea@1") == ["Alice's", "Her second", *bobs]
    for version in ("tea@2", "both@1", "halves@1"):
        assert sorted(texts_of(version)) == bobs, version
    [step] = DatasetVersion.objects.get(dataset__name="both").sets["all"]["steps"]
    assert step["dropped"] == {UNUSABLE: 4, "the same row was there before": 8}
    assert (step["n_in"], step["n_out"]) == (20, 8)


def test_what_somebody_deleted_is_in_no_later_version(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    gone = chat(alices, "Deleted", "Yes.")
    chat(alices, "Kept", "Yes.")
    clean_site(tmp_path)
    Conversation.objects.filter(pk=gone.pk).delete()
    clean_site(tmp_path, name="next")
    assert texts_of("tea@2") == ["Kept"]


def test_a_visitor_is_found_too_and_also_after_they_signed_in(
    client: Client, tmp_path: Path, alice: User, visitor: UUID, admin_user: User
) -> None:
    actor = Actor(visitor_public_id=visitor)
    agree(actor)
    chat(actor, MARK, "Yes.")
    clean_site(tmp_path)
    source = SourceRecord.objects.get()
    assert (source.user, source.visitor_public_id) == (None, visitor)
    client.force_login(admin_user)
    client.get("/datasets/tea/1/all/0")
    assert Opening.objects.get().visitor_public_id == visitor
    client.logout()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    client.post("/accounts/login/", {"login": "alice", "password": "correct horse"})
    source.refresh_from_db()
    assert (source.user, source.visitor_public_id) == (alice, None)
    agree(Actor(user_id=alice.pk))
    clean_site(tmp_path, name="next")
    assert DatasetVersion.objects.count() == 1  # the same rows
    erased(user=alice)
    assert in_tables(MARK) == set()


def test_a_visitor_who_is_erased_leaves_empty_rows(tmp_path: Path, visitor: UUID) -> None:
    actor = Actor(visitor_public_id=visitor)
    agree(actor)
    chat(actor, MARK, "Yes.")
    clean_site(tmp_path)
    erased(visitor=visitor)
    assert in_tables(MARK) == set()
    assert SourceRecord.objects.get().visitor_public_id is None


def test_a_hold_on_a_visitor_keeps_their_rows(tmp_path: Path, visitor: UUID, admin_user: User) -> None:
    actor = Actor(visitor_public_id=visitor)
    agree(actor)
    one = chat(actor, MARK, "Yes.")
    clean_site(tmp_path)
    assert one.visitor is not None
    held(HeldKind.VISITOR, one.visitor, admin_user)
    assert carried_out(erasure_ask(user=None, visitor_public_id=visitor)).state == ErasureState.HELD
    with pytest.raises(Held):
        version_delete(DatasetVersion.objects.get())
    with pytest.raises(IntegrityError, match="legal hold"), transaction.atomic():
        DatasetVersion.objects.get().delete()
    assert texts_of("tea@1") == [MARK]


def test_the_database_lets_nobody_else_have_a_source(tmp_path: Path, alice: User, bob: User, alices: Actor) -> None:
    agree(alices)
    chat(alices, "Hello", "Yes.")
    clean_site(tmp_path)
    for change in ({"user": bob}, {"user": None}, {"user": None, "visitor_public_id": bob.public_id}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            SourceRecord.objects.update(**change)


def test_rows_of_people_are_stored_by_nothing_that_does_not_know_whose_they_are(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    chat(alices, "Hello", "Yes.")
    clean_site(tmp_path)
    dataset("export", "tea@1", tmp_path / "exported")
    for folder in ("out", "exported"):
        with pytest.raises(CommandError, match="so that an erasure finds them"):
            dataset("import", "stolen", tmp_path / folder)
    assert DatasetVersion.objects.count() == 1


# --- While a run is under way -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """As a process ends."""


def test_a_run_that_was_killed_goes_on_with_what_it_took(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    chat(alices, "First", "Yes.")
    with patch.object(cleaning, "_put_together", side_effect=Killed), pytest.raises(Killed):
        clean_site(tmp_path)
    assert (tmp_path / "out.site" / "site-chats.jsonl").exists()
    chat(alices, "Later", "Yes.")
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["First"]
    assert {path.name for path in tmp_path.iterdir()} == {"tidy.yaml", "out"}


def test_a_run_that_was_killed_begins_anew_without_who_took_it_back_since(
    tmp_path: Path, alices: Actor, bob: User
) -> None:
    bobs = Actor(user_id=bob.pk)
    for actor, text in ((alices, MARK), (bobs, "Bob's")):
        agree(actor)
        chat(actor, text, "Yes.")
    with patch.object(cleaning, "_put_together", side_effect=Killed), pytest.raises(Killed):
        clean_site(tmp_path)
    agree(alices, is_given=False)
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["Bob's"]
    assert {path.name for path in tmp_path.iterdir()} == {"tidy.yaml", "out"}


def test_who_takes_it_back_while_a_run_is_under_way_is_not_in_what_it_makes(
    tmp_path: Path, alices: Actor, bob: User
) -> None:
    for actor in (alices, Actor(user_id=bob.pk)):
        agree(actor)
        chat(actor, MARK, "Yes.")
    made = cleaning._made

    def taken_back_meanwhile(*arguments: object) -> object:
        agree(alices, is_given=False)
        return made(*arguments)  # type: ignore[arg-type]  # as they came

    with (
        patch.object(cleaning, "_made", taken_back_meanwhile),
        pytest.raises(CommandError, match="may be used no more: 1 no consent in force"),
    ):
        clean_site(tmp_path)
    assert not (tmp_path / "out").exists()
    assert not DatasetVersion.objects.exists()
    clean_site(tmp_path)
    assert len(rows_in(tmp_path / "out")) == 1


def test_the_version_is_not_stored_if_it_is_taken_back_before_the_last_moment(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    chat(alices, MARK, "Yes.")

    def taken_back_meanwhile(path: Path) -> object:
        agree(alices, is_given=False)
        return folder_read(path)

    with (
        patch("apps.datasets.management.commands.clean.folder_read", taken_back_meanwhile),
        pytest.raises(CommandError, match="may be used no more"),
    ):
        clean_site(tmp_path)
    assert not DatasetVersion.objects.exists()
    assert not DatasetRow.objects.exists()
    clean_site(tmp_path, "--force")
    assert rows_in(tmp_path / "out") == []
