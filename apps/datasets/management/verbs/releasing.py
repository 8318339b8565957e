"""Verbs by which datasets are given to others, and by which rows are taken down: release, releases, publish, takedown,
renew. Who approves a release does so in the admin, where it is known who it is."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from apps.accounts.models import User
from apps.core.texts import clean_text
from apps.datasets.errors import ReleaseRefused, ReleaseUnknown, VersionUnknown
from apps.datasets.models import Dataset
from apps.datasets.names import name_check, reference_read
from apps.datasets.release_models import DatasetRelease, Publication, TakedownReason
from apps.datasets.selectors import sets_of, version_get
from apps.datasets.services.derived import version_renew
from apps.datasets.services.publishing import release_publish_folder, release_publish_hub
from apps.datasets.services.releases import release_propose
from apps.datasets.services.takedowns import takedown_make

Lines = Iterator[str]


def releasing_arguments(verbs: Any) -> None:
    release = verbs.add_parser("release", help="propose a version to be given to others; somebody else decides")
    release.add_argument("version", metavar="VERSION")
    release.add_argument("--set", action="append", default=[], metavar="NAME", help="of several; all by default")
    release.add_argument("--notes", default="", help="for whoever decides, and for the card")
    _by(release, "proposes it")
    verbs.add_parser("releases", help="print all releases, and where they are published")
    publish = verbs.add_parser("publish", help="bring an approved release into a folder or to Hugging Face's hub")
    publish.add_argument("release", metavar="RELEASE", help="its id, or the first digits of it")
    where = publish.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", type=Path, metavar="FOLDER")
    where.add_argument("--hub", metavar="ORG/NAME", help="with the token in HF_TOKEN")
    takedown = verbs.add_parser("takedown", help="leave a conversation out of all later versions and releases")
    takedown.add_argument("name", metavar="NAME")
    takedown.add_argument("id", metavar="ID", help="of a row, or of the conversation or battle it is of")
    takedown.add_argument("--why", required=True, help="for the staff alone")
    takedown.add_argument("--reason", choices=list(map(str, TakedownReason)), default=str(TakedownReason.ASKED))
    _by(takedown, "takes it down", is_needed=False)
    renew = verbs.add_parser("renew", help="store a version again as the next one, without what was taken down")
    renew.add_argument("version", metavar="VERSION")


def _by(parser: ArgumentParser, what: str, *, is_needed: bool = True) -> None:
    parser.add_argument("--by", required=is_needed, metavar="USER", help=f"who {what}: a name of the staff")


def release_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    version = version_get(reference)
    if reference.set_name is not None and options["set"]:
        raise ReleaseRefused(what=version, reason="name its sets either with --set or after the slash")
    wanted = options["set"] or sets_of(version, reference.set_name)
    names = [name for one in dict.fromkeys(wanted) for name in sets_of(version, one)]
    release = release_propose(version, names, notes=options["notes"], by=_user(options["by"]))
    for check in release.checks:
        yield f"{'ok  ' if check['is_fine'] else 'LOOK'}  {check['name']}: {check['words']}"
    yield f"{_short(release)}  {release} is proposed; somebody else approves it in the admin"


def releases_lines(options: dict[str, Any]) -> Lines:
    found = DatasetRelease.objects.select_related("version__dataset", "proposed_by", "decided_by")
    for release in found.prefetch_related("publications"):
        decided = f" by {release.decided_by}: {release.reason}" if release.decided_at else ""
        yield f"{_short(release)}  {release}, {release.get_state_display().lower()}{decided}"
        yield from (f"          {_told(one)}" for one in release.publications.all())


def publish_lines(options: dict[str, Any]) -> Lines:
    release = _release(options["release"])
    if options["hub"] is not None:
        publication, is_new = release_publish_hub(release, options["hub"])
    else:
        publication, is_new = release_publish_folder(release, options["to"])
    yield f"{release}  {_told(publication)}" + ("" if is_new else "; it was there before, and nothing has changed")


def takedown_lines(options: dict[str, Any]) -> Lines:
    name = name_check(options["name"])
    dataset = Dataset.objects.filter(name=name, n_versions__gt=0).first()
    if dataset is None:
        raise VersionUnknown(what=f"dataset {name}")
    by = _user(options["by"]) if options["by"] is not None else None
    reason = TakedownReason(options["reason"])
    takedown = takedown_make(dataset, options["id"], reason=reason, why=options["why"], by=by)
    rows = takedown.rows.select_related("version__dataset").order_by("version", "set_name", "position")
    for row in rows:
        yield f"{row.version}/{row.set_name}:{row.position} is taken down"
    newest = version_get(reference_read(name))
    if newest.taken_rows.exists():
        yield f"`manage.py dataset renew {name}` makes the next version, without it"


def renew_lines(options: dict[str, Any]) -> Lines:
    version, is_new = version_renew(version_get(reference_read(options["version"])))
    yield f"{version}  {version.n_rows} rows" if is_new else f"{version} is the same, and stays"


def _release(text: str) -> DatasetRelease:
    """Raises: ReleaseUnknown."""
    found = [
        release
        for release in DatasetRelease.objects.select_related("version__dataset")
        if len(text) >= 4 and str(release.public_id).startswith(text.lower())
    ]
    if len(found) != 1:
        raise ReleaseUnknown(what=text[:60])
    return found[0]


def _user(name: str) -> User:
    """Raises: ReleaseRefused."""
    user = User.objects.filter(username=name).first() if clean_text(name) == name else None
    if user is None:
        raise ReleaseRefused(what=f"--by {clean_text(name)[:60]}", reason="there is no account of that name here")
    return user


def _short(release: DatasetRelease) -> str:
    return str(release.public_id)[:8]


def _told(publication: Publication) -> str:
    where = publication.address or publication.place
    told = f"{publication.get_state_display().lower()}: {where}"
    return f"{told} ({publication.error})" if publication.error else f"{told} {publication.revision[:12]}".rstrip()


RELEASING: dict[str, Callable[[dict[str, Any]], Lines]] = {
    "release": release_lines,
    "releases": releases_lines,
    "publish": publish_lines,
    "takedown": takedown_lines,
    "renew": renew_lines,
}
