"""An approved release is brought into a folder, or to a hub by the hub's own client; the hub alone is a stand-in."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.models import User
from apps.core.charts import marks
from apps.core.charts.alone import COLOURS, standing_alone
from apps.core.charts.drawing import draw
from apps.datasets.exporting import version_publish
from apps.datasets.formats.parquet import parquet_values
from apps.datasets.models import DatasetRow, DatasetVersion
from apps.datasets.release_card import release_card
from apps.datasets.release_models import DatasetRelease, Publication, PublicationState
from apps.datasets.services.derived import version_renew
from apps.datasets.services.publishing import folder_hash
from apps.datasets.services.releases import release_decide
from tests.background import in_background
from tests.datasets.hub import SIGNATURE, Hub, hub_running
from tests.datasets.test_releases import proposed, staff, version_of
from tests.datasets.test_takedowns import row, taken
from tests.live import ROOT

pytestmark = [
    pytest.mark.django_db,
    # The library's own, at each large file that it sends.
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes/text content:DeprecationWarning"),
]

TOKEN = "hf_secret-of-the-hub-that-nobody-is-told"


@pytest.fixture
def hub(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # The library waits some seconds before it tries again.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda s: None)
    with hub_running() as hub:
        settings.HF_ENDPOINT, settings.HF_TOKEN = hub.address, TOKEN
        yield hub


def approved(version: DatasetVersion | None = None) -> DatasetRelease:
    owl = User.objects.filter(username="owl").first() or staff("owl", "add_datasetrelease")
    fox = User.objects.filter(username="fox").first() or staff("fox", "approve_datasetrelease")
    return release_decide(proposed(owl, version), is_approved=True, reason="Good.", by=fox)


def publish(release: DatasetRelease, *where: str) -> str:
    out = StringIO()
    call_command("dataset", "publish", str(release.public_id)[:8], *where, stdout=out)
    return out.getvalue()


def ids_in(content: bytes, folder: Path) -> list[str]:
    path = folder / "read.parquet"
    path.write_bytes(content)
    return [value["id"] for value, _ in parquet_values(path)]


def parquet_of(hub: Hub) -> bytes:
    (content,) = [content for path, content in hub.files.items() if path.endswith(".parquet")]
    return content


# --- A folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_has_the_rows_the_charts_and_a_card_that_says_how_it_was_made(tmp_path: Path) -> None:
    release = approved()
    said = publish(release, "--to", str(tmp_path / "out"))
    assert "published" in said
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for words in ("Votes of spring.", "## Cleaning", "no tags of the step moderation_tags", "Nothing was taken down"):
        assert words in card
    figures = sorted(path.name for path in (tmp_path / "out" / "figures").iterdir())
    assert figures == ["all-lengths.svg", "all-turns.svg"]
    assert all(f"](figures/{name})" in card for name in figures)
    drawn = (tmp_path / "out" / "figures" / "all-lengths.svg").read_text()
    assert "var(" not in drawn
    assert f'fill="{COLOURS["accent"]}"' in drawn
    ElementTree.fromstring(drawn)  # noqa: S314  # written by the site a moment ago
    (file,) = (tmp_path / "out" / "data").iterdir()
    assert ids_in(file.read_bytes(), tmp_path) == ["c1", "c2"]
    again = publish(release, "--to", str(tmp_path / "out"))
    assert "nothing has changed" in again
    assert Publication.objects.count() == 1


def test_a_folder_that_is_another_is_not_written_over(tmp_path: Path) -> None:
    release = approved()
    (tmp_path / "out").mkdir()
    with pytest.raises(CommandError, match="is there already"):
        publish(release, "--to", str(tmp_path / "out"))
    publication = Publication.objects.get()
    assert publication.state == PublicationState.FAILED
    assert "is there already" in publication.error
    (tmp_path / "out").rmdir()
    publish(release, "--to", str(tmp_path / "out"))
    (tmp_path / "out" / "README.md").write_text("changed")
    with pytest.raises(CommandError, match="is there already"):
        publish(release, "--to", str(tmp_path / "out"))


class Killed(BaseException):
    """Stands for a signal that ends the process."""


def test_a_try_that_broke_off_is_no_longer_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> str:
        raise ValueError("words of a row")

    release = approved()
    monkeypatch.setattr("apps.datasets.services.publishing.release_card", broken)
    with pytest.raises(ValueError, match="words of a row"):
        publish(release, "--to", str(tmp_path / "out"))
    publication = Publication.objects.get()
    assert (publication.state, publication.error) == (PublicationState.FAILED, "It broke off (ValueError).")


def test_a_folder_that_a_killed_try_has_finished_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed_at_the_end(*arguments: Any, **more: Any) -> None:
        version_publish(*arguments, **more)
        raise Killed

    release = approved()
    monkeypatch.setattr("apps.datasets.services.publishing.version_publish", killed_at_the_end)
    with pytest.raises(Killed):
        publish(release, "--to", str(tmp_path / "out"))
    Publication.objects.update(state=PublicationState.RUNNING, error="")  # it had no time to say how it ended
    monkeypatch.undo()
    assert "published" in publish(release, "--to", str(tmp_path / "out"))
    publication = Publication.objects.get()
    assert (publication.state, publication.revision) == (PublicationState.PUBLISHED, folder_hash(tmp_path / "out"))
    assert publication.published_at is not None


@pytest.mark.django_db(transaction=True)
def test_one_at_a_time_brings_a_release_to_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, refused = approved(), list[str]()

    def again() -> None:
        with pytest.raises(CommandError) as error:
            publish(release, "--to", str(tmp_path / "out"))
        refused.append(str(error.value))

    def meanwhile(*arguments: Any, **more: Any) -> str:
        in_background(again).join()
        return release_card(*arguments, **more)

    monkeypatch.setattr("apps.datasets.services.publishing.release_card", meanwhile)
    publish(release, "--to", str(tmp_path / "out"))
    assert "is being published there at this moment" in refused[0]
    publication = Publication.objects.get()
    assert (publication.state, publication.error) == (PublicationState.PUBLISHED, "")


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 600, "\udc80", "a\x00b"])
def test_what_is_no_name_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    release = approved()
    with pytest.raises(CommandError, match="cannot be written"):
        publish(release, "--to", f"{tmp_path}/{name}")
    assert not Publication.objects.exists()
    assert not list(tmp_path.iterdir())


def test_a_card_tells_no_row_that_was_dropped_and_no_why_of_a_takedown(tmp_path: Path) -> None:
    version_of(row("c1"), row("c2", text="a secret question"), row("c3"))
    taken("c2")
    version, _ = version_renew(DatasetVersion.objects.get())
    publish(approved(version), "--to", str(tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- Somebody asked for it: 1" in card
    assert "taken down: somebody asked for it 1" in card
    for secret in ("c2", "a secret question", "A letter"):
        assert secret not in card


def test_charts_by_themselves_have_the_colours_of_the_pages() -> None:
    light, _, _ = (ROOT / "static" / "css" / "tokens.css").read_text().partition("@media")
    for name, colour in COLOURS.items():
        assert f"--{name}: {colour};" in light
    with pytest.raises(KeyError):
        standing_alone('<svg><rect fill="var(--none)"/></svg>')


@pytest.mark.parametrize(
    "name", ["var(--foo)", 'a fill="var(--ink)" b', "\">< fill='var(--ink)'", '<g fill="var(--ink)']
)
def test_a_name_that_looks_like_a_colour_stays_as_it_is_in_a_chart_by_itself(name: str) -> None:
    drawn = draw(marks.bars([{"name": name, "value": 3}], "value", "Rows", ",d"))
    alone = ElementTree.fromstring(standing_alone(drawn))  # noqa: S314  # drawn by the site a moment ago
    assert name in [element.text for element in alone.iter()]
    assert "var(" not in "".join(value for element in alone.iter() for value in element.attrib.values())


# --- The hub ----------------------------------------------------------------------------------------------------------


def test_a_release_becomes_a_commit_of_the_hub_once(hub: Hub, tmp_path: Path, client: Client, admin_user: User) -> None:
    release = approved()
    assert hub.head not in publish(release, "--hub", "org/name")
    assert len(hub.commits) == 1
    assert sorted(hub.files) == [
        "README.md",
        "data/all_rows-00000-of-00001.parquet",
        "figures/all-lengths.svg",
        "figures/all-turns.svg",
    ]
    assert ids_in(parquet_of(hub), tmp_path) == ["c1", "c2"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    publication = Publication.objects.get()
    assert (publication.state, publication.revision) == (PublicationState.PUBLISHED, hub.head)
    assert publication.address == f"{hub.address}/datasets/org/name"
    assert "nothing has changed" in publish(release, "--hub", "org/name")
    assert len(hub.commits) == 1
    client.force_login(admin_user)
    page = client.get(f"/admin/datasets/datasetrelease/{release.pk}/change/").content.decode()
    assert publication.address in page
    assert TOKEN not in page
    assert publication.address in client.get("/datasets/tea/1").content.decode()


def test_the_next_version_replaces_the_files_of_the_one_before(hub: Hub, tmp_path: Path) -> None:
    publish(approved(), "--hub", "org/name")
    hub.files["data/old-00000-of-00001.parquet"] = b"of an earlier version"
    taken("c1")
    release = DatasetRelease.objects.get()
    with pytest.raises(CommandError, match="1 of its rows were taken down"):
        publish(release, "--hub", "org/name")
    assert Publication.objects.get().state == PublicationState.PUBLISHED
    version, _ = version_renew(DatasetVersion.objects.get())
    publish(approved(version), "--hub", "org/name")
    assert ids_in(parquet_of(hub), tmp_path) == ["c2"]
    assert hub.commits[-1]["deleted"] == ["data/old-00000-of-00001.parquet"]
    assert "- Somebody asked for it: 1" in hub.files["README.md"].decode()


def test_no_log_has_the_token_or_the_address_by_which_a_file_may_be_written(
    hub: Hub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    release = approved()
    hub.statuses["/lfs/"] = 503
    with pytest.raises(CommandError, match="answers with 503"):
        publish(release, "--hub", "org/name")
    hub.statuses.clear()
    publish(release, "--hub", "org/name")
    written = caplog.text + "".join(capfd.readouterr())
    for secret in (SIGNATURE, TOKEN):
        assert secret not in written


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/api/repos/create", 401, "does not know the token"),
        ("/api/repos/create", 403, "may not write there"),
        ("/api/datasets/org/name/preupload", 404, "does not know it"),
        ("/api/datasets/org/name/commit", 403, "may not write there"),
        ("/lfs/", 403, "may not write there"),
        ("/datasets/org/name.git", 500, "answers with 500"),
    ],
)
def test_a_refusal_of_the_hub_is_told_and_mended_by_the_same_command(
    hub: Hub, caplog: pytest.LogCaptureFixture, path: str, status: int, why: str
) -> None:
    release = approved()
    hub.statuses[path] = status
    with pytest.raises(CommandError, match=why) as refused:
        publish(release, "--hub", "org/name")
    publication = Publication.objects.get()
    assert publication.state == PublicationState.FAILED
    assert why in publication.error
    assert not hub.commits
    assert TOKEN not in f"{refused.value} {publication.error} {caplog.text}"
    hub.statuses.clear()
    publish(release, "--hub", "org/name")
    publication.refresh_from_db()
    assert (publication.state, publication.error) == (PublicationState.PUBLISHED, "")


@pytest.mark.parametrize("path", ["/lfs/", "/api/datasets/org/name/commit"])
def test_a_network_that_is_cut_half_way_leaves_no_commit(hub: Hub, path: str) -> None:
    release = approved()
    hub.cuts.add(path)
    with pytest.raises(CommandError, match="cut off"):
        publish(release, "--hub", "org/name")
    assert not hub.commits
    assert Publication.objects.get().state == PublicationState.FAILED
    hub.cuts.clear()
    publish(release, "--hub", "org/name")
    assert len(hub.commits) == 1


def test_a_hub_that_sends_files_to_a_metadata_address_is_not_followed(hub: Hub) -> None:
    release = approved()
    hub.uploads_at = "http://169.254.169.254"
    with pytest.raises(CommandError, match=r"169\.254\.169\.254, which is link-local"):
        publish(release, "--hub", "org/name")
    assert not hub.commits


@pytest.mark.parametrize("name", ["a b", "org/name/more", "../name", "", "\udc80", "a\x00b", f"{'o' * 2000}/name"])
def test_what_is_no_name_of_a_hubs_dataset_is_refused(hub: Hub, name: str) -> None:
    with pytest.raises(CommandError, match="write ORG/NAME"):
        publish(approved(), "--hub", name)
    assert not hub.exists


def test_rows_that_were_erased_are_not_published(hub: Hub, tmp_path: Path) -> None:
    release = approved()
    DatasetRow.objects.filter(position=0).update(line=None, record_id="")
    publish(release, "--hub", "org/name")
    assert ids_in(parquet_of(hub), tmp_path) == ["c2"]
    assert "c1" not in json.dumps(hub.commits)


@pytest.mark.parametrize("to_hub", [False, True])
@pytest.mark.parametrize("what", ["erased", "taken down"])
def test_rows_that_go_while_files_are_written_are_not_published(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, to_hub: bool
) -> None:
    release = approved()

    def meanwhile(*args: Any, **more: Any) -> str:
        if what == "erased":
            DatasetRow.objects.filter(position=0).update(line=None, record_id="")
        else:
            taken("c1")
        return release_card(*args, **more)

    # The rows are in the files by now.
    monkeypatch.setattr("apps.datasets.services.publishing.release_card", meanwhile)
    where = ("--hub", "org/name") if to_hub else ("--to", str(tmp_path / "out"))
    with pytest.raises(CommandError, match=f"1 of its rows were {what}"):
        publish(release, *where)
    assert not hub.commits
    assert not list(tmp_path.iterdir())
    assert Publication.objects.get().state == PublicationState.FAILED
    if what == "erased":
        monkeypatch.undo()
        publish(release, "--to", str(tmp_path / "out"))
        (file,) = (tmp_path / "out" / "data").iterdir()
        assert ids_in(file.read_bytes(), tmp_path) == ["c2"]
