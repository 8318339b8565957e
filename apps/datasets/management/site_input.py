"""`--input site:chats` and `--input site:battles`: what is asked for, and where it lies while it is read."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apps.datasets.formats.shapes import Shape
from apps.datasets.output_folder import check_free
from apps.datasets.site.asked import PREFIX, SHAPES, Asked, What

if TYPE_CHECKING:
    from apps.datasets.site.snapshot import Taken

_CHOICES = ("since", "until", "model", "arena")
_OF_DATASETS = ("split", "config")


def site_arguments(parser: ArgumentParser) -> None:
    chosen = parser.add_argument_group("of this site", f"with --input {' or '.join(What)}")
    chosen.add_argument("--since", type=_time, metavar="DATE", help="begun then or later, in UTC")
    chosen.add_argument("--until", type=_time, metavar="DATE", help="begun before that")
    chosen.add_argument("--model", default="", metavar="NAME", help="which wrote all answers, or took part")
    chosen.add_argument("--arena", default="", metavar="SLUG", help="battles of this arena alone")


def asked_of(options: dict[str, Any]) -> list[Asked]:
    """What of the inputs is the site's; files alone are left in `options`. Raises: CommandError."""
    named = [str(one) for one in options["input"]]
    options["input"] = [one for one in options["input"] if not str(one).startswith(PREFIX)]
    names = [one for one in named if one.startswith(PREFIX)]
    if wrong := [one for one in names if one not in list(What)]:
        raise CommandError(f"{wrong[0]} is nothing that this site has: give {' or '.join(What)}")
    if len(set(names)) < len(names):
        raise CommandError("give each input once")
    asked = [_asked(What(name), options) for name in names]
    if given := [f"--{name}" for name in _CHOICES if options[name] and not asked]:
        raise CommandError(f"{given[0]} chooses among what people wrote here: give --input {' or '.join(What)}")
    if given := [f"--{name}" for name in _OF_DATASETS if asked and options[name] is not None]:
        raise CommandError(f"{asked[0].what} is no dataset of Hugging Face: leave {given[0]} out")
    if options["arena"] and What.BATTLES not in names:
        raise CommandError(f"--arena is of battles: give --input {What.BATTLES}")
    if asked and options["output"] is not None and options["dataset"] is None:
        raise CommandError("what people wrote here goes into a version, where an erasure finds it: give --dataset NAME")
    return asked


def _asked(what: What, options: dict[str, Any]) -> Asked:
    shape = Shape(options["format"]) if options["format"] else SHAPES[what][0]
    if shape not in SHAPES[what]:
        raise CommandError(f"{what} can be had as {' or '.join(SHAPES[what])}, not as {shape}")
    arena = options["arena"] if what is What.BATTLES else ""
    return Asked(what, shape, options["since"], options["until"], options["model"], arena)


@contextmanager
def site_taken(asked: list[Asked], options: dict[str, Any]) -> Iterator["list[Taken]"]:
    """Files with what was asked for, as long as a run needs them. Raises: as `taken_for`; OutputExists."""
    if not asked:
        yield []
        return
    from apps.datasets.site.snapshot import site_take, taken_for  # the site's apps, which files alone do not load

    if options["output"] is None:
        with TemporaryDirectory(prefix="site-") as folder:
            yield [site_take(one, Path(folder), most=options["dry_run"]) for one in asked]
    else:
        check_free(options["output"], overwrite=options["force"], inputs=[])
        with taken_for(options["output"], asked, anew=options["force"]) as taken:
            yield taken


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is no date: write 2026-11-30 or 2026-11-30T18:00") from exc
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
