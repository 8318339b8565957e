"""What is taken down at the moment at which a version is made of others: none of the two misses the other."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import transaction

from apps.datasets.folder import folder_read
from apps.datasets.models import DatasetVersion, Origin
from apps.datasets.names import reference_read
from apps.datasets.release_models import Takedown, TakenRow
from apps.datasets.selectors import version_get
from apps.datasets.services.derived import Split, version_split, versions_merge
from apps.datasets.services.locks import datasets_lock
from apps.datasets.services.versions import folder_store
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.datasets.test_takedowns import ids, row, run, stored, taken
from tests.live import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(first: Callable[[], object], second: Callable[[], object]) -> None:
    """The second begins when the first has done all but to commit it."""
    with transaction.atomic():
        first()
        other = in_background(second)
        wait_until(lambda: is_somebody_waiting_for_a_lock() or not other.is_alive(), what="the other to wait")
    other.join()


def merge() -> object:
    tea, green = version_get(reference_read("tea")), version_get(reference_read("green"))
    return versions_merge("made", [(green, "all"), (tea, "all")], licence="")


def split() -> object:
    return version_split("made", (version_get(reference_read("tea")), "all"), Split(test_share=0.5), licence="")


def ids_made() -> set[str]:
    version = DatasetVersion.objects.get(dataset__name="made")
    return {id for name in version.sets for id in ids(version, name)}


@pytest.fixture(autouse=True)
def tea() -> None:
    stored(row("c1"), *(row(f"d{n}") for n in range(20)))
    stored(row("c1", text="something else"), name="green")


@pytest.mark.parametrize("make", [merge, split])
def test_a_version_that_is_made_during_a_takedown_is_without_the_row(make: Callable[[], object]) -> None:
    at_once(lambda: taken("c1"), make)
    assert "d1" in ids_made()
    assert not {"c1", "c1~tea@1"} & ids_made() - ({"c1"} if make is merge else set())  # the green one stays


@pytest.mark.parametrize("make", [merge, split])
def test_a_takedown_finds_the_row_in_a_version_that_is_made_meanwhile(make: Callable[[], object]) -> None:
    at_once(make, lambda: taken("c1"))
    assert sorted(Takedown.objects.values_list("dataset__name", flat=True)) == ["made", "tea"]
    assert {str(one.version) for one in TakenRow.objects.all()} == {"tea@1", "made@1"}


def test_an_export_that_is_imported_during_a_takedown_is_without_the_row(tmp_path: Path) -> None:
    run("export", "tea@1", str(tmp_path / "tea"))
    folder = folder_read(tmp_path / "tea")
    at_once(lambda: taken("c1"), lambda: folder_store("made", folder, origin=Origin.IMPORT))
    assert "d1" in ids_made()
    assert "c1" not in ids_made()


def test_a_takedown_that_waits_for_a_merge_holds_nothing_that_the_merge_needs() -> None:
    green, tea = version_get(reference_read("green")), version_get(reference_read("tea"))
    versions_merge("tea", [(green, "all"), (tea, "all")], licence="")
    with transaction.atomic():
        datasets_lock(["tea"])  # the older one: that is where a merge begins
        other = in_background(lambda: taken("c1", "green"))
        wait_until(is_somebody_waiting_for_a_lock, what="the takedown to wait")
        datasets_lock(["green"])
    other.join()
    assert {str(one.version) for one in TakenRow.objects.all()} >= {"green@1", "tea@2"}
