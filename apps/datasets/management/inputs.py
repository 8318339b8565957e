"""What commands of datasets are given."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from apps.datasets.formats.renaming import SPEAKERS, names_of_fields
from apps.datasets.formats.shapes import Shape
from apps.datasets.inputs import Choice, inputs_find
from apps.datasets.names import LICENCE_MAX_CHARS
from apps.datasets.run import Input


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("at least 1")
    return number


def choice_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--format", choices=list(map(str, Shape)), help="of files; found out by default")
    parser.add_argument(
        "--map",
        nargs="+",
        default=[],
        type=_pair,
        metavar="FIELD=NAME",
        help="in files that call FIELD by another NAME",
    )
    parser.add_argument(
        "--speakers",
        nargs="+",
        default=[],
        type=_pair,
        metavar="ROLE=NAME",
        help=f"in files that call those who speak ({', '.join(SPEAKERS)}) by other names",
    )
    parser.add_argument("--split", metavar="NAME", help="of a dataset of Hugging Face; all by default")
    parser.add_argument("--config", metavar="NAME", help="configuration of such a dataset")


def _pair(text: str) -> tuple[str, str]:
    known, sign, found = text.partition("=")
    if not sign or not known or not found:
        raise ArgumentTypeError(f"{text!r} is no pair: write messages=NAME, with the NAME in the file")
    return known, found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def licensed(parser: ArgumentParser) -> None:
    parser.add_argument("--licence", default="", type=_licence, metavar="NAME", help="of the dataset, as CC-BY-4.0")


def _licence(text: str) -> str:
    if len(text) > LICENCE_MAX_CHARS:
        raise ArgumentTypeError(f"at most {LICENCE_MAX_CHARS} characters")
    return text


def inputs_given(options: dict[str, Any], name: str, tell: Callable[[str], object] = _say) -> list[Input]:
    """`name`: of the option that has the inputs. `tell` hears what is read of each dataset.

    Raises: as `inputs_find`; CommandError.
    """
    shape = Shape(options["format"]) if options["format"] else None
    try:
        names = names_of_fields(options["map"], options["speakers"])
    except ValueError as exc:
        raise CommandError(f"--map and --speakers: {exc}") from exc
    if names is not None and not options[name]:
        raise CommandError("--map and --speakers are for files")
    found = inputs_find(map(str, options[name]), Choice(options["split"], options["config"]), shape, names)
    for line in found.told:
        tell(line)
    return found.inputs
