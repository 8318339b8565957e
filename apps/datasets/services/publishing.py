"""Approved releases are brought to where others get them: a folder, or Hugging Face's hub. Again does no harm."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import connection
from django.utils import timezone

from apps.core.charts.alone import standing_alone
from apps.core.errors import SiteError
from apps.core.texts import clean_text, is_encodable
from apps.datasets.cards import card_cell
from apps.datasets.errors import OutputExists, OutputUnwritable, ReleaseRefused
from apps.datasets.exporting import version_publish
from apps.datasets.hub_client import folder_upload, repo_id_check
from apps.datasets.release_card import FIGURES, release_card
from apps.datasets.release_checks import n_erased
from apps.datasets.release_models import (
    PLACE_MAX_CHARS,
    DatasetRelease,
    Publication,
    PublicationState,
    ReleaseState,
    Takedown,
    TakedownReason,
)
from apps.datasets.services.releases import check_still_allowed

_REPLACED = ["data/*", f"{FIGURES}/*"]
"""What an earlier version has left on the hub goes, so that no row of it stays in the newest commit."""


def release_publish_folder(release: DatasetRelease, folder: Path) -> tuple[Publication, bool]:
    """Parquet, card and charts; False: it was published there before, and still is.

    Raises: ReleaseRefused; as `made_whole`.
    """
    _check(release)
    with _tried(release, _place(folder)) as publication:
        is_new = not (publication.revision and folder.is_dir() and folder_hash(folder) == publication.revision)
        if is_new:
            _write(release, folder, publication)
    return publication, is_new


def release_publish_hub(release: DatasetRelease, repo_id: str) -> tuple[Publication, bool]:
    """As a commit of the dataset `repo_id`, which is made if there is none; False: all of it was there already.

    Raises: ReleaseRefused, PublishingFailed; as `made_whole`.
    """
    _check(release)
    repo_id_check(repo_id)
    with _tried(release, f"hf:{repo_id}") as publication, TemporaryDirectory(prefix="release-") as work:
        known, folder = publication.revision, Path(work) / "release"
        _write(release, folder)
        message = f"Release {release} ({str(release.public_id)[:8]})"
        publication.revision, publication.address = folder_upload(folder, repo_id, message=message, replaces=_REPLACED)
    return publication, publication.revision != known


def _place(folder: Path) -> str:
    """Its whole name, as it is written down. Raises: OutputUnwritable: the name is none for a folder."""
    try:
        place = str(folder.resolve())
        folder.exists()
    except (OSError, ValueError, RuntimeError) as exc:
        reason = getattr(exc, "strerror", None) or "that is no name of a folder"
        raise OutputUnwritable(path=clean_text(str(folder)), reason=reason) from exc
    if len(place) > PLACE_MAX_CHARS or not is_encodable(place):
        reason = f"its name has over {PLACE_MAX_CHARS} characters, or such as are no text"
        raise OutputUnwritable(path=clean_text(str(folder)), reason=reason)
    return place


def _check(release: DatasetRelease) -> None:
    """Raises: ReleaseRefused."""
    if release.state != ReleaseState.APPROVED:
        reason = f"it is {release.get_state_display().lower()}, and only an approved release is published"
        raise ReleaseRefused(what=release, reason=reason)
    check_still_allowed(release)


@contextmanager
def _tried(release: DatasetRelease, place: str) -> Iterator[Publication]:
    """How it ended is written down, whatever happens. Raises: ReleaseRefused: somebody else is at it."""
    with _alone(release, place):
        publication, _ = Publication.objects.get_or_create(
            release=release, place=place, defaults={"tried_at": timezone.now()}
        )
        publication.state, publication.tried_at, publication.error = PublicationState.RUNNING, timezone.now(), ""
        publication.save(update_fields=["state", "tried_at", "error"])
        try:
            yield publication
        except BaseException as exc:
            publication.state = PublicationState.FAILED
            # What is no error of ours may have words in it that are not for everybody who may see a release.
            publication.error = exc.message if isinstance(exc, SiteError) else f"It broke off ({type(exc).__name__})."
            publication.save(update_fields=["state", "error"])
            raise
        publication.state = PublicationState.PUBLISHED
        publication.published_at = publication.published_at or timezone.now()
        publication.save(update_fields=["state", "revision", "address", "published_at"])


@contextmanager
def _alone(release: DatasetRelease, place: str) -> Iterator[None]:
    """Two at once would write down each other's end as theirs. Raises: ReleaseRefused."""
    name = [f"publication of {release.public_id} in {place}"]
    with connection.cursor() as cursor:
        # Of the session, so that it goes with this process if that dies, and needs no transaction of an hour.
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name)
        if cursor.fetchone() != (True,):
            raise ReleaseRefused(what=release, reason="it is being published there at this moment; wait for that")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)


# --- What is published ------------------------------------------------------------------------------------------------


def _write(release: DatasetRelease, folder: Path, publication: Publication | None = None) -> None:
    """`publication`: learns the hash of the folder before this has its name, so that it is known again by the next try
    if this one is killed.

    Raises: as `made_whole`; ReleaseRefused: not all of what was written may be published any more.
    """
    if folder.exists():
        raise OutputExists(path=str(folder))
    version = release.version
    n_before = n_erased(version, release.sets)

    def check(unfinished: Path) -> None:
        check_still_allowed(release)
        # An erased row no longer says whose it was, so that the look above does not see it.
        if n := n_erased(version, release.sets) - n_before:
            raise ReleaseRefused(what=release, reason=f"{n} of its rows were erased meanwhile: publish it again")
        if publication is not None:
            publication.revision = folder_hash(unfinished)
            publication.save(update_fields=["revision"])

    def card(unfinished: Path, card_of_version: str) -> str:
        figures = {name: list(_drawn(version.charts.get(name, []), name, unfinished)) for name in release.sets}
        steps = {name: version.steps + version.sets[name].get("steps", []) for name in release.sets}
        counts = Counter(Takedown.objects.filter(dataset=version.dataset).values_list("reason", flat=True))
        return release_card(
            card_of_version,
            notes=release.notes,
            checks=release.checks,
            steps=steps,
            takedowns={TakedownReason(reason).label: n for reason, n in counts.items()},
            figures=figures,
        )

    version_publish(version, folder, release.sets, card=card, check=check)


def _drawn(charts: list[dict[str, str]], set_name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Title and name of the file of each chart, which is written."""
    (folder / FIGURES).mkdir(exist_ok=True)
    for chart in charts:
        name = f"{FIGURES}/{set_name}-{chart['title'].lower().replace(' ', '-')}.svg"
        (folder / name).write_text(standing_alone(chart["svg"]))
        yield card_cell(chart["title"]), name


def folder_hash(folder: Path) -> str:
    """Of the names and the bytes of all files in it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
