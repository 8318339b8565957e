"""What was taken down is in no later version: by the id of a row, with all that was made of the same conversation."""

import json
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.datasets.errors import TakedownRefused
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion, Origin
from apps.datasets.names import reference_read
from apps.datasets.release_models import Takedown, TakedownReason, TakenRow
from apps.datasets.selectors import rows_beginning, version_get
from apps.datasets.services.derived import Split, version_split, versions_merge
from apps.datasets.services.takedowns import takedown_make
from apps.datasets.services.versions import Draft, SetDraft, version_store
from apps.datasets.takedown_ids import ids_of
from tests.datasets.site import agree, chat, clean_site
from tests.datasets.test_versions import clean

pytestmark = pytest.mark.django_db

ASKED = "taken down: somebody asked for it"


def row(id: str, *steps: str, text: str = "", **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": text or f"What is {id}?"}, {"role": "assistant", "content": "So."}]
    return {"id": id, "messages": said, **more, "source": {"file": f"{id}.jsonl", "record": 0, "steps": list(steps)}}


def stored(*rows: dict[str, Any], name: str = "tea", number: int = 0) -> DatasetVersion:
    lines = [json.dumps(one).encode() for one in rows]
    draft = Draft(name, Origin.IMPORT, {"name": "test", "number": number}, [])
    version, _ = version_store(draft, {"all": SetDraft(lines, {"steps": []})})
    return version


def taken(id: str, name: str = "tea") -> Takedown:
    return takedown_make(Dataset.objects.get(name=name), id, reason=TakedownReason.ASKED, why="A letter.")


def ids(version: DatasetVersion, set_name: str = "all") -> list[str]:
    rows = DatasetRow.objects.filter(version=version, set_name=set_name)
    return list(rows.order_by("position").values_list("record_id", flat=True))


def dropped(version: DatasetVersion, set_name: str = "all") -> dict[str, int]:
    report = version.sets[set_name]["steps"][-1]
    assert report["n_in"] == report["n_out"] + sum(report["dropped"].values())
    assert report["n_out"] == version.sets[set_name]["n_rows"]
    return dict(report["dropped"])


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("dataset", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (row("c7"), ["c7"]),
        (row("c7_4"), ["c7_4"]),
        (row("c7_4", "split_long"), ["c7_4", "c7"]),
        (row("q1_a"), ["q1_a"]),
        (row("q1_a", model_a="owl", model_b="fox"), ["q1_a", "q1"]),
        (row("q1_a_2", "split_long", model_a="owl", model_b="fox"), ["q1_a_2", "q1_a", "q1"]),
        ({}, [""]),
        ({"id": 7, "source": None}, ["7"]),
        (row("c\x007_4", "split_long"), ["c7_4", "c7"]),
        (row("_4", "split_long"), ["_4"]),
        (row("_a", model_a="owl", model_b="fox"), ["_a"]),
        (row("c7_4\n", "split_long"), ["c7_4\n"]),
    ],
)
def test_a_row_is_of_its_conversation_and_its_battle(value: dict[str, Any], found: list[str]) -> None:
    assert ids_of(value) == found


def test_a_row_that_was_taken_down_is_left_out_of_what_is_stored_later_and_counted(tmp_path: Path) -> None:
    clean(tmp_path)
    takedown = taken("c3")
    assert sorted(takedown.rows.values_list("set_name", "position")) == [("all", 3), ("short", 3)]
    clean(tmp_path)
    newest = version_get(reference_read("tea"))
    for name in ("all", "short"):
        assert ids(newest, name) == ["c0", "c1", "c2", "c4"]
        assert dropped(newest, name) == {ASKED: 1}
    assert newest.sets["all"]["n_conversations"] == 4
    assert "A letter" not in json.dumps(newest.sets)
    assert "| all | 4 |" in newest.card
    assert not newest.taken_rows.exists()
    # The same again is no further version, and the first stays what it is.
    clean(tmp_path)
    assert [str(one) for one in DatasetVersion.objects.all()] == ["tea@2", "tea@1"]
    assert ids(version_get(reference_read("tea@1"))) == ["c0", "c1", "c2", "c3", "c4"]


def test_with_a_part_or_a_side_the_whole_conversation_or_battle_is_taken_down() -> None:
    sides = [row(f"q1_{side}", model_a="owl", model_b="fox") for side in "ab"]
    parts = [row("c7_0", "split_long"), row("c7_4", "split_long"), row("c7_x"), row("c70")]
    version = stored(*sides, *parts)
    assert taken("q1_b").record_id == "q1"
    assert taken("c7_4").record_id == "c7"
    assert sorted(TakenRow.objects.values_list("position", flat=True)) == [0, 1, 2, 3]
    # Also where it is split at another place.
    later = stored(*sides, row("c7_2", "split_long"), row("c7", text="whole"), row("c70"), number=1)
    assert ids(later) == ["c70"]
    assert ids(version)[:2] == ["q1_a", "q1_b"]


def test_ids_of_which_the_first_letters_are_the_same_are_told_apart() -> None:
    long = "x" * 100
    rows = [row(f"{long}{tail}", "split_long") for tail in ("1_0", "1_1", "2_0", "%_0")]
    stored(*rows, row(f"{'x' * 63}_9", "split_long"))
    assert taken(f"{long}1").rows.count() == 2
    assert taken(f"{long}%").rows.count() == 1
    assert taken("x" * 63).rows.count() == 1


def test_the_parts_of_a_conversation_are_looked_for_by_an_index() -> None:
    stored(*(row(f"c{n}_0", "split_long") for n in range(2000)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE datasets_datasetrow")  # of few rows no index is needed
    assert "on dataset_row_id_head" in rows_beginning(Dataset.objects.get(), "c1", "_").explain()


@pytest.mark.parametrize("id", ["", " ", "\x00"])
def test_rows_without_an_id_are_not_taken_down_all_together(id: str) -> None:
    stored({**row("c1"), "id": ""}, {**row("c2"), "id": ""}, row("_4", "split_long"))
    with pytest.raises(TakedownRefused, match="no id"):
        taken(id)
    assert taken("_4").rows.count() == 1


@pytest.mark.parametrize("id", ["none", "c", "C1", "c1 or 1=1", "%", "c1\x00x"])
def test_what_no_version_has_is_not_taken_down(id: str) -> None:
    stored(row("c1"))
    with pytest.raises(TakedownRefused, match="no version"):
        taken(id)
    assert not Takedown.objects.exists()


def test_an_id_that_cannot_be_stored_as_it_stands_is_taken_down_all_the_same() -> None:
    tea = stored(row("c\x001"), row("c2"))
    other = stored(row("c1", text="something else"), name="other")
    mixed, _ = versions_merge("mixed", list(parts(other, tea)), licence="")
    assert "c1~tea@1" in ids(mixed)
    assert taken("c\x001").record_id == "c1"
    assert {str(one.version) for one in TakenRow.objects.all()} == {"tea@1", "mixed@1"}
    assert ids(stored(row("c\x001"), row("c2"), number=1)) == ["c2"]


def test_nothing_is_taken_down_twice_or_without_a_word_why() -> None:
    stored(row("c1"))
    with pytest.raises(TakedownRefused, match="say why"):
        takedown_make(Dataset.objects.get(), "c1", reason=TakedownReason.OTHER, why=" ")
    taken("c1")
    with pytest.raises(TakedownRefused, match="before"):
        taken("c1")


def test_a_chat_of_the_site_is_taken_down_by_the_id_that_it_has_there(tmp_path: Path, alice: User) -> None:
    actor = Actor(user_id=alice.pk)
    agree(actor)
    talk, _ = chat(actor, "Taken down", "Yes."), chat(actor, "Kept", "Yes.")
    clean_site(tmp_path)
    takedown = taken(str(talk.public_id))
    assert str(talk.public_id) not in takedown.record_id
    clean_site(tmp_path, name="next")
    [row] = DatasetRow.objects.filter(version__number=2)
    assert "Kept" in str(row.line)


# --- Merged, split, imported ------------------------------------------------------------------------------------------


def parts(*versions: DatasetVersion) -> Iterable[tuple[DatasetVersion, str]]:
    return [(version, "all") for version in versions]


def test_what_is_merged_or_split_later_is_without_it() -> None:
    tea = stored(row("c1"), row("c2"), *(row(f"d{n}") for n in range(20)))
    other = stored(row("c1", text="something else"), name="other")
    taken("c1")
    mixed, _ = versions_merge("mixed", list(parts(tea, other)), licence="")
    assert "c1" in ids(mixed)  # the other dataset's, of which nobody said anything
    assert len(ids(mixed)) == 22
    halves, _ = version_split("halves", (tea, "all"), Split(test_share=0.5), licence="")
    assert "c1" not in ids(halves, "train") + ids(halves, "test")
    assert len(ids(halves, "train") + ids(halves, "test")) == 21


def test_a_takedown_follows_into_what_was_merged_and_split_before() -> None:
    tea = stored(row("c1"), row("c2"), *(row(f"d{n}") for n in range(20)))
    other = stored(row("c1", text="something else"), name="other")
    mixed, _ = versions_merge("mixed", list(parts(other, tea)), licence="")
    assert "c1~tea@1" in ids(mixed)
    version_split("halves", (mixed, "all"), Split(test_share=0.5), licence="")
    taken("c1")
    found = {(str(one.version), one.takedown.record_id) for one in TakenRow.objects.all()}
    assert found == {("tea@1", "c1"), ("mixed@1", "c1~tea@1"), ("halves@1", "c1~tea@1")}
    again, _ = versions_merge("mixed", list(parts(other, tea)), licence="MIT")
    assert "c1" in ids(again)
    assert "c1~tea@1" not in ids(again)


def test_an_export_that_is_imported_again_under_another_name_is_without_it(tmp_path: Path) -> None:
    stored(row("c1"), row("c2"))
    run("export", "tea@1", str(tmp_path / "tea"))
    taken("c1")
    assert "1 rows" in run("import", "tea", str(tmp_path / "tea"))
    run("import", "coffee", str(tmp_path / "tea"))
    assert ids(version_get(reference_read("coffee"))) == ["c2"]


def test_a_takedown_follows_into_an_export_that_was_imported_under_another_name_before(tmp_path: Path) -> None:
    stored(row("c1"), row("c2"))
    run("export", "tea@1", str(tmp_path / "tea"))
    run("import", "coffee", str(tmp_path / "tea"))
    taken("c1")
    assert {(str(one.version), one.takedown.record_id) for one in TakenRow.objects.all()} == {
        ("tea@1", "c1"),
        ("coffee@1", "c1"),
    }


# --- The next version -------------------------------------------------------------------------------------------------


def test_the_next_version_is_made_without_what_was_taken_down(tmp_path: Path) -> None:
    clean(tmp_path, "--licence", "MIT")
    with pytest.raises(CommandError, match="nothing of tea@1 was taken down"):
        run("renew", "tea")
    said = run("takedown", "tea", "c3", "--why", "A letter.", "--reason", "rights")
    assert "tea@1/all:3" in said
    assert "dataset renew tea" in said
    assert run("renew", "tea").startswith("tea@2  8 rows")
    newest = version_get(reference_read("tea"))
    assert (newest.licence, newest.origin, newest.inputs[0]["file"]) == ("MIT", "takedown", "tea@1")
    assert dropped(newest) == {"taken down: rights of others": 1}
    assert newest.steps == version_get(reference_read("tea@1")).steps
    # Each row still stands beside what it was made of.
    assert "[-<b>-]" in run("inspect", "tea@2/all", "--id", "c4")


def test_takedowns_that_cannot_be_are_told(alice: User, admin_user: User) -> None:
    stored(row("c1"))
    User.objects.create_user("helper", is_staff=True)
    for arguments, why in (
        (("none", "c1", "--why", "x"), "no dataset none"),
        (("tea", "c9", "--why", "x"), "no row|no version"),
        (("tea", "c1", "--why", "x", "--by", "nobody"), "no account"),
        (("tea", "c1", "--why", "x", "--by", ""), "no account"),
        (("tea", "c1", "--why", "x", "--by", "root\x00"), "no account"),
        (("tea", "c1", "--why", "x", "--by", "ro\udc80t"), "no account"),
        (("tea", "c1", "--why", "x", "--by", "alice"), "alice may not take down"),
        (("tea", "c1", "--why", "x", "--by", "helper"), "helper may not take down"),
    ):
        with pytest.raises(CommandError, match=why):
            run("takedown", *arguments)
    assert not Takedown.objects.exists()
    run("takedown", "tea", "c1", "--why", "x", "--by", admin_user.username)
    assert Takedown.objects.get().taken_by == admin_user


def test_a_version_that_is_deleted_takes_its_taken_rows_along() -> None:
    version = stored(row("c1"))
    taken("c1")
    run("delete", str(version), "--yes")
    assert not TakenRow.objects.exists()
    assert ids(stored(row("c1"), row("c2"))) == ["c2"]


# --- The admin --------------------------------------------------------------------------------------------------------


def test_a_row_is_taken_down_in_the_admin_and_the_version_says_so(client: Client, admin_user: User) -> None:
    version = stored(row("c1"), row("c2"))
    client.force_login(admin_user)
    asked = {"of": version.dataset.pk, "record_id": "c1", "reason": "asked", "why": "A letter."}
    assert client.post("/admin/datasets/takedown/add/", asked).status_code == 302
    takedown = Takedown.objects.get()
    assert (takedown.record_id, takedown.taken_by) == ("c1", admin_user)
    assert "tea@1/all:0" in client.get(f"/admin/datasets/takedown/{takedown.pk}/change/").content.decode()
    assert "1 row was taken down" in " ".join(client.get("/datasets/tea/1").content.decode().split())
    refused = client.post("/admin/datasets/takedown/add/", asked | {"record_id": "c9"}, follow=True)
    assert "no version of tea has a row with that id" in refused.content.decode()
    assert Takedown.objects.count() == 1


def test_a_list_of_many_takedowns_asks_no_more_than_one_of_few(client: Client, admin_user: User) -> None:
    stored(row("c1_1", "split_long"), row("c1_2", "split_long"), *(row(f"d{n}") for n in range(5)))
    client.force_login(admin_user)
    taken("c1")
    n_asked = []
    for more in ([], [f"d{n}" for n in range(5)]):
        for id in more:
            taken(id)
        with CaptureQueriesContext(connection) as asked:
            listed = client.get("/admin/datasets/takedown/").context["cl"].result_list
        assert [takedown.n_taken for takedown in listed] == [1] * len(more) + [2]
        n_asked.append(len(asked))
    assert n_asked[0] == n_asked[1]
