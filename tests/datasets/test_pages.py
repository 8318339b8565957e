"""The pages of datasets: who may see them, and what they show."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.datasets.models import DatasetRow, DatasetVersion
from apps.datasets.urls import dataset_patterns
from apps.datasets.views import ROW_MAX_CHARS
from apps.moderation.models import Opening
from tests.datasets.support import sharegpt, written
from tests.datasets.test_versions import clean
from tests.privacy.test_datasets import MARK, version_of

pytestmark = pytest.mark.django_db

ADDRESSES = {
    "all": "/datasets",
    "version": "/datasets/tea/1",
    "find": "/datasets/tea/1/all?id=c3",
    "row": "/datasets/tea/1/all/3",
}


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", "root@example.org", "open sesame")


@pytest.fixture
def page(client: Client, root: User, tmp_path: Path) -> Client:
    clean(tmp_path)
    client.force_login(root)
    return client


def test_every_address_is_tried_here() -> None:
    assert {pattern.name for pattern in dataset_patterns[0]} == ADDRESSES.keys()


@pytest.mark.parametrize("name", ADDRESSES)
def test_strangers_see_nothing_of_datasets(tmp_path: Path, charlie: User, name: str) -> None:
    clean(tmp_path)
    client = Client()
    assert client.get(ADDRESSES[name]).status_code == 302
    client.force_login(charlie)
    for address in (ADDRESSES[name], ADDRESSES[name].replace("tea", "none")):
        assert client.get(address).status_code == 403
    # Permissions alone are not enough, nor is being one of the staff.
    charlie.user_permissions.set(Permission.objects.filter(content_type__app_label="datasets"))
    assert client.get(ADDRESSES[name]).status_code == 403
    charlie.user_permissions.clear()
    User.objects.filter(pk=charlie.pk).update(is_staff=True)
    assert client.get(ADDRESSES[name]).status_code == 403


def test_who_may_see_versions_alone_is_led_to_no_row(tmp_path: Path, charlie: User) -> None:
    clean(tmp_path)
    User.objects.filter(pk=charlie.pk).update(is_staff=True)
    charlie.user_permissions.set(Permission.objects.filter(codename="view_datasetversion"))
    client = Client()
    client.force_login(charlie)
    assert "Look at its rows" not in client.get("/datasets/tea/1").content.decode()
    assert client.get("/datasets/tea/1/all/0").status_code == 403


def test_a_version_shows_its_numbers_charts_reports_and_card(page: Client) -> None:
    text = page.get("/datasets/tea/1").content.decode()
    version = DatasetVersion.objects.get()
    assert text.count("<figure") == sum(len(charts) for charts in version.charts.values()) == 6
    assert version.hash in text
    assert "id was there before" in text
    assert "# tidy" in text
    assert "tea@1" in page.get("/datasets").content.decode()


def test_a_row_is_shown_beside_its_source_as_text_alone(page: Client) -> None:
    text = page.get("/datasets/tea/1/short/3").content.decode()
    assert "<del>&lt;b&gt;</del>Question" in text
    assert "<ins>**</ins>Question" in text
    assert "user, taken away" in text
    assert page.get("/datasets/tea/1/all?id=c3").headers["Location"] == "/datasets/tea/1/all/3"


@pytest.mark.parametrize(
    "address",
    [
        "/datasets/none/1", "/datasets/tea/2", "/datasets/tea/0", "/datasets/tea/1/none/0", "/datasets/tea/1/all/99",
        "/datasets/tea/1/all?id=nobody", "/datasets/tea/1/all?id=%00", "/datasets/tea/1/all",
        f"/datasets/tea/{10**30}", f"/datasets/tea/1/all/{10**30}",
    ],
)  # fmt: skip
def test_what_there_is_not_is_not_found(page: Client, address: str) -> None:
    assert page.get(address).status_code == 404


def test_a_row_that_is_too_long_for_a_page_is_left_to_the_command(client: Client, root: User, tmp_path: Path) -> None:
    path = written(tmp_path / "dump.jsonl", [sharegpt("c", "Hi", f"endless {'x' * ROW_MAX_CHARS}")])
    call_command("dataset", "import", "tea", str(path))
    client.force_login(root)
    text = client.get("/datasets/tea/1/tea/0").content.decode()
    assert "manage.py dataset inspect tea@1/tea --row 0" in text
    assert "endless" not in text


def test_a_list_of_versions_reads_no_charts(page: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        page.get("/datasets")
        page.get("/datasets/tea/1/all/3")
    assert not [one["sql"] for one in asked if "charts" in one["sql"]]


def test_the_page_of_a_version_reads_no_rows(page: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert "html_to_markdown 5" in page.get("/datasets/tea/1").content.decode()
    of_rows = [one["sql"] for one in asked if "datasets_datasetrow" in one["sql"]]
    assert [sql for sql in of_rows if '"line" IS NULL' not in sql] == [], "what was erased has an index of its own"
    assert len(of_rows) == 1


def test_a_row_is_found_in_the_admin_by_its_id_as_it_is_indexed(page: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        text = page.get("/admin/datasets/datasetrow/?q=c3").content.decode()
    assert "/datasets/tea/1/all/3" in text
    assert "/datasets/tea/1/all/2" not in text
    assert not [one["sql"] for one in asked if 'UPPER("datasets_datasetrow"' in one["sql"]]


def test_an_erased_row_says_so(page: Client) -> None:
    DatasetRow.objects.filter(position=0).update(line=None, record_id="")
    assert "is empty" in page.get("/datasets/tea/1/all/0").content.decode()
    assert "2 rows were erased" in page.get("/datasets/tea/1").content.decode()


def test_a_persons_chat_that_is_read_as_a_row_is_written_down_for_them(client: Client, root: User, alice: User) -> None:
    version_of(alice, None)
    client.force_login(root)
    assert MARK in client.get("/datasets/tea/1/all/0").content.decode()
    opening = Opening.objects.get()
    assert (opening.owner, opening.reader) == (alice, root)
    client.get("/datasets/tea/1/all/1")
    assert Opening.objects.count() == 1
    client.force_login(alice)
    assert "as a row of the dataset tea@1" in client.get("/account/openings").content.decode()
