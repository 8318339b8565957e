"""A version is given to others when a second person has approved it, and not while rows of it are taken down."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.datasets.errors import DerivationWrong, ReleaseRefused
from apps.datasets.models import DatasetRow, DatasetVersion, Origin
from apps.datasets.release_models import DatasetRelease, ReleaseState
from apps.datasets.services.releases import release_decide, release_propose
from apps.datasets.services.versions import Draft, SetDraft, version_delete, version_store
from apps.datasets.site.asked import UNUSABLE
from tests.datasets.site import agree, chat, clean_site
from tests.datasets.test_takedowns import row, taken

pytestmark = pytest.mark.django_db


def version_of(*rows: dict[str, Any], licence: str = "CC-BY-4.0", name: str = "tea") -> DatasetVersion:
    lines = [json.dumps(one).encode() for one in rows or [row("c1"), row("c2")]]
    draft = Draft(name, Origin.IMPORT, {"name": "test"}, [], licence=licence)
    version, _ = version_store(draft, {"all": SetDraft(lines, {"steps": []})})
    return version


def staff(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name, f"{name}@example.org", "open sesame", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def owl(db: None) -> User:
    return staff("owl", "add_datasetrelease", "view_datasetrelease", "approve_datasetrelease")


@pytest.fixture
def fox(db: None) -> User:
    return staff("fox", "approve_datasetrelease")


def proposed(by: User, version: DatasetVersion | None = None) -> DatasetRelease:
    return release_propose(version or version_of(), ["all"], notes="Votes of spring.", by=by)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("dataset", *arguments, stdout=out)
    return out.getvalue()


# --- What is looked at ------------------------------------------------------------------------------------------------


def test_a_proposal_says_what_it_found(owl: User) -> None:
    rows = [
        row("c1", text="Write to owl@example.org", moderation={"rude": 0.9}, moderation_flagged=["rude"]),
        row("c2", moderation_unchecked="HTTP 500"),
        row("c3"),
    ]
    version = version_of(*rows)
    DatasetRow.objects.filter(position=2).update(line=None, record_id="")
    checks = {one["name"]: one for one in proposed(owl, version).checks}
    assert {name: one["is_fine"] for name, one in checks.items()} == {
        "licence": True, "rows": True, "takedowns": True, "consent": True, "erasures": True,
        "personal data": False, "moderation": False,
    }  # fmt: skip
    assert "2 rows are released" in checks["rows"]["words"]
    assert "in 1 rows" in checks["personal data"]["words"]
    assert "email 1" in checks["personal data"]["words"]
    assert "owl@example.org" not in json.dumps(checks)
    assert checks["moderation"]["words"].startswith("1 rows are flagged, 1 were not judged in time, 0 have no tags")
    assert checks["erasures"]["words"].startswith("1 rows")


def test_what_must_be_there_is_named_if_it_is_not(owl: User) -> None:
    with pytest.raises(ReleaseRefused, match="licence: the version has none"):
        proposed(owl, version_of(licence=""))
    version = version_of(name="oolong")
    taken("c1", "oolong")
    with pytest.raises(ReleaseRefused, match="dataset renew oolong@1"):
        proposed(owl, version)
    empty = version_of(name="empty")
    DatasetRow.objects.filter(version=empty).update(line=None, record_id="")
    with pytest.raises(ReleaseRefused, match="rows: 0 rows"):
        proposed(owl, empty)
    assert not DatasetRelease.objects.exists()


def test_a_version_is_proposed_once_until_it_is_declined(owl: User, fox: User) -> None:
    release = proposed(owl)
    with pytest.raises(ReleaseRefused, match="proposed before"):
        proposed(owl, release.version)
    release_decide(release, is_approved=False, reason="Too early.", by=fox)
    assert proposed(owl, release.version).state == ReleaseState.PROPOSED


def test_the_same_sets_in_another_order_are_the_same_release(owl: User) -> None:
    draft = Draft("tea", Origin.IMPORT, {"name": "test"}, [], licence="MIT")
    lines = [json.dumps(row("c1")).encode()]
    version, _ = version_store(draft, {name: SetDraft(lines, {"steps": []}) for name in ("train", "all")})
    run("release", "tea@1", "--set", "train", "--set", "all", "--by", "owl")
    for sets in (["--set", "all", "--set", "train"], []):
        with pytest.raises(CommandError, match="proposed before"):
            run("release", "tea@1", *sets, "--by", "owl")
    run("release", "tea@1", "--set", "all", "--by", "owl")
    assert [release.sets for release in version.releases.order_by("pk")] == [["all", "train"], ["all"]]


# --- Who decides ------------------------------------------------------------------------------------------------------


def test_another_decides_once_and_with_a_reason(owl: User, fox: User) -> None:
    release = proposed(owl)
    for reason, by, why in (("Good.", owl, "ask another"), (" ", fox, "say why")):
        with pytest.raises(ReleaseRefused, match=why):
            release_decide(release, is_approved=True, reason=reason, by=by)
    decided = release_decide(release, is_approved=True, reason="Good.", by=fox)
    assert (decided.state, decided.decided_by, decided.is_alone) == (ReleaseState.APPROVED, fox, False)
    with pytest.raises(ReleaseRefused, match="before"):
        release_decide(release, is_approved=False, reason="No.", by=fox)
    assert DatasetRelease.objects.get().state == ReleaseState.APPROVED


def test_two_decisions_at_one_moment_are_one(owl: User, fox: User) -> None:
    release = proposed(owl)
    stale = DatasetRelease.objects.get()
    release_decide(release, is_approved=False, reason="No.", by=fox)
    with pytest.raises(ReleaseRefused, match="before"):
        release_decide(stale, is_approved=True, reason="Yes.", by=fox)
    assert DatasetRelease.objects.get().state == ReleaseState.DECLINED


def test_whoever_is_alone_decides_alone_and_it_says_so(owl: User) -> None:
    release = release_decide(proposed(owl), is_approved=True, reason="There is nobody else.", by=owl)
    assert release.is_alone
    root = User.objects.create_superuser("root", "root@example.org", "open sesame")
    with pytest.raises(ReleaseRefused, match="ask another"):
        release_decide(proposed(root, version_of(name="oolong")), is_approved=True, reason="Mine.", by=root)


def test_the_database_keeps_whoever_proposed_it_from_deciding(owl: User) -> None:
    release = proposed(owl)
    with pytest.raises(IntegrityError, match="release_decided_by_another"), transaction.atomic():
        DatasetRelease.objects.filter(pk=release.pk).update(state=ReleaseState.APPROVED, decided_by=owl)


def test_who_may_not_neither_proposes_nor_decides(owl: User, alice: User) -> None:
    with pytest.raises(ReleaseRefused, match="may not propose"):
        proposed(alice)
    with pytest.raises(ReleaseRefused, match="may not propose"):
        proposed(staff("cat", "view_datasetrelease"), version_of(name="oolong"))
    with pytest.raises(ReleaseRefused, match="may not approve"):
        release_decide(proposed(owl, version_of(name="pu-erh")), is_approved=True, reason="Yes.", by=alice)


def test_what_was_taken_down_since_is_not_approved(owl: User, fox: User) -> None:
    release = proposed(owl)
    taken("c1")
    with pytest.raises(ReleaseRefused, match="1 of its rows were taken down"):
        release_decide(release, is_approved=True, reason="Good.", by=fox)
    assert release_decide(release, is_approved=False, reason="Taken down.", by=fox).state == ReleaseState.DECLINED


def test_what_people_let_be_used_no_more_is_neither_released_nor_in_the_next_version(
    owl: User, fox: User, alice: User, bob: User, tmp_path: Path
) -> None:
    for user, text in ((alice, "Alice's"), (bob, "Bob's")):
        agree(Actor(user_id=user.pk))
        chat(Actor(user_id=user.pk), text, "Yes.")
    clean_site(tmp_path, "--licence", "CC-BY-4.0")
    version = DatasetVersion.objects.get()
    release = proposed(owl, version)
    agree(Actor(user_id=alice.pk), is_given=False)
    with pytest.raises(ReleaseRefused, match="1 of its rows may be used no more"):
        release_decide(release, is_approved=True, reason="Good.", by=fox)
    release_decide(release, is_approved=False, reason="Taken back.", by=fox)
    with pytest.raises(ReleaseRefused, match="consent: 1 rows"):
        proposed(owl, version)
    assert "tea@2  1 rows" in run("renew", "tea")
    newest = DatasetVersion.objects.get(number=2)
    assert newest.sets["all"]["steps"][-1]["dropped"] == {UNUSABLE: 1}
    assert "Alice's" not in "".join(str(row.line) for row in newest.rows.all())
    assert proposed(owl, newest).state == ReleaseState.PROPOSED


def test_whose_the_rows_of_a_large_release_are_is_asked_when_it_is_published(
    owl: User, fox: User, alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.datasets.release_checks.PAGE_ROWS", 0)
    agree(Actor(user_id=alice.pk))
    chat(Actor(user_id=alice.pk), "Alice's", "Yes.")
    clean_site(tmp_path, "--licence", "CC-BY-4.0")
    release = proposed(owl, DatasetVersion.objects.get())
    agree(Actor(user_id=alice.pk), is_given=False)
    release_decide(release, is_approved=True, reason="Good.", by=fox)
    with pytest.raises(CommandError, match="1 of its rows may be used no more"):
        run("publish", str(release.public_id)[:8], "--to", str(tmp_path / "published"))
    assert not (tmp_path / "published").exists()


def test_a_version_that_was_released_is_not_deleted(owl: User) -> None:
    release = proposed(owl)
    with pytest.raises(DerivationWrong, match="released"):
        version_delete(release.version)


# --- The admin and the pages ------------------------------------------------------------------------------------------


def change(release: DatasetRelease) -> str:
    return f"/admin/datasets/datasetrelease/{release.pk}/change/"


INLINE = {"publications-TOTAL_FORMS": 0, "publications-INITIAL_FORMS": 0}


def test_a_release_is_proposed_and_decided_in_the_admin(client: Client, owl: User, fox: User) -> None:
    version_of()
    client.force_login(owl)
    asked = {"named": "tea@1/all", "notes": "Votes of spring."}
    assert client.post("/admin/datasets/datasetrelease/add/", asked).status_code == 302
    release = DatasetRelease.objects.get()
    assert (release.proposed_by, release.sets, release.notes) == (owl, ["all"], "Votes of spring.")
    page = client.get(change(release)).content.decode()
    assert 'name="verdict"' not in page
    assert "<svg" in page
    assert "/datasets/tea/1/all/0" in page
    assert "have no tags of the step moderation_tags" in page
    assert "What is c1?" not in page
    # Whoever proposed it gains nothing by sending the form that they are not shown.
    client.post(change(release), {"verdict": "approve", "why": "Mine.", **INLINE})
    release.refresh_from_db()
    assert release.state == ReleaseState.PROPOSED
    client.force_login(fox)
    assert 'name="verdict"' in client.get(change(release)).content.decode()
    assert "This field is required" in client.post(change(release), {"verdict": "approve", **INLINE}).content.decode()
    assert client.post(change(release), {"verdict": "approve", "why": "Good.", **INLINE}).status_code == 302
    release.refresh_from_db()
    assert (release.state, release.reason, release.decided_by) == (ReleaseState.APPROVED, "Good.", fox)
    assert {entry.user for entry in LogEntry.objects.all()} == {owl, fox}
    assert 'name="verdict"' not in client.get(change(release)).content.decode()


@pytest.mark.parametrize(("named", "why"), [("none@1", "There is no dataset none"), ("a b", "names no dataset")])
def test_what_cannot_be_proposed_is_told_in_the_admin(client: Client, owl: User, named: str, why: str) -> None:
    client.force_login(owl)
    page = client.post("/admin/datasets/datasetrelease/add/", {"named": named, "notes": ""}, follow=True)
    assert why in page.content.decode()
    assert not DatasetRelease.objects.exists()


def test_a_version_that_takes_long_to_look_through_is_left_to_the_command(client: Client, owl: User) -> None:
    version_of(*(row(f"c{n}") for n in range(2001)))
    client.force_login(owl)
    page = client.post("/admin/datasets/datasetrelease/add/", {"named": "tea@1", "notes": ""}, follow=True)
    assert "manage.py dataset release tea@1 --by owl" in page.content.decode()
    assert not DatasetRelease.objects.exists()


def test_strangers_see_no_release(client: Client, owl: User, charlie: User) -> None:
    release = proposed(owl)
    client.force_login(charlie)
    assert client.get(change(release)).status_code == 302
    client.force_login(staff("cat", "view_datasetversion"))
    assert client.get(change(release)).status_code == 403
    assert client.post(change(release), {"verdict": "approve", "why": "x", **INLINE}).status_code == 403
    assert client.get("/admin/datasets/datasetrelease/add/").status_code == 403


def test_the_page_of_a_version_shows_its_releases(client: Client, owl: User, admin_user: User) -> None:
    release = proposed(owl)
    client.force_login(admin_user)
    page = client.get("/datasets/tea/1").content.decode()
    assert "all: proposed" in page
    assert change(release) in page


# --- The command ------------------------------------------------------------------------------------------------------


def test_a_version_is_proposed_by_a_command_and_listed(owl: User) -> None:
    version_of()
    said = run("release", "tea@1", "--set", "all", "--notes", "Spring.", "--by", "owl")
    assert "ok    licence: CC-BY-4.0" in said
    assert "LOOK  moderation" in said
    release = DatasetRelease.objects.get()
    assert f"{str(release.public_id)[:8]}  tea@1/all, proposed" in run("releases")
    for arguments, why in (
        (("tea@1", "--by", "owl"), "proposed before"),
        (("tea@1", "--by", "nobody"), "no account"),
        (("tea@1", "--set", "none", "--by", "owl"), "set none"),
        (("tea@1/all", "--set", "all", "--by", "owl"), "either"),
    ):
        with pytest.raises(CommandError, match=why):
            run("release", *arguments)


def test_what_is_not_approved_is_not_published(owl: User, fox: User, tmp_path: Path) -> None:
    release = proposed(owl)
    id_ = str(release.public_id)[:8]
    with pytest.raises(CommandError, match="only an approved release"):
        run("publish", id_, "--to", str(tmp_path / "out"))
    release_decide(release, is_approved=False, reason="No.", by=fox)
    with pytest.raises(CommandError, match="it is declined"):
        run("publish", id_, "--hub", "org/name")
    with pytest.raises(CommandError, match="There is no release"):
        run("publish", "0000", "--to", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
