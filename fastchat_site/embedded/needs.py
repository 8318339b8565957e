"""What a `manage.py` command needs, told before anything of the site is loaded."""

from collections.abc import Sequence
from pathlib import Path

WITHOUT_DATABASE = frozenset({"launch", "help", "version", "check", "makemigrations", "collectstatic", "diffsettings"})
_RECIPE_MAX_BYTES = 1024 * 1024


def needs_database(argv: Sequence[str]) -> bool:
    """Of Django's and this site's commands, by name and options."""
    command = argv[1] if len(argv) > 1 else "help"
    asks_for_help = bool({"-h", "--help"} & set(argv))
    if command.startswith("-") or command in WITHOUT_DATABASE or asks_for_help:
        return False
    if command == "dataset":
        return argv[2:3] != ["check"]
    return command != "clean" or _clean_needs_database(argv[2:])


def cleans_files(argv: Sequence[str]) -> bool:
    """Whether it is the cleaning of files alone, which needs nothing of the site."""
    return argv[1:2] == ["clean"] and not _clean_needs_database(argv[2:])


def _clean_needs_database(arguments: Sequence[str]) -> bool:
    """Files alone are cleaned without one, which takes half as long for small ones. Rather once too often."""
    names = [argument.partition("=")[0] for argument in arguments]
    options = ("--dataset", "--celery")
    if any(name.startswith("--") and option.startswith(name) for name in names for option in options):
        return True
    if any(argument.rpartition("=")[2].startswith("site:") for argument in arguments):
        return True  # what people wrote here is in the database
    return any(_asks_moderation(Path(argument)) for argument in arguments)


def _asks_moderation(recipe: Path) -> bool:
    """A step of a recipe may ask what stands in the admin."""
    try:
        if not recipe.is_file():
            return False
        with recipe.open("rb") as file:
            return b"moderation_tags" in file.read(_RECIPE_MAX_BYTES)
    except OSError:
        return False  # too long for a name, or not to be read: if it is a file at all, the command says so
