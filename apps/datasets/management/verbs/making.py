"""Verbs that make or take away: import, export, merge, split, delete."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import CommandError

from apps.datasets.cleaning import recipe_run
from apps.datasets.errors import DerivationWrong
from apps.datasets.exporting import version_export, version_publish
from apps.datasets.folder import REPORT, Folder, folder_read
from apps.datasets.management.inputs import choice_arguments, inputs_given, licensed
from apps.datasets.models import DatasetVersion, Origin
from apps.datasets.names import name_check, reference_read
from apps.datasets.recipe import recipe_parse
from apps.datasets.run import Options, names_of
from apps.datasets.selectors import sets_of, version_get
from apps.datasets.services.derived import Part, Split, version_split, versions_merge
from apps.datasets.services.versions import folder_store, version_delete
from apps.datasets.sources import Sources, no_sources, sources_of

Lines = Iterator[str]


def making_arguments(verbs: Any) -> None:
    import_ = verbs.add_parser("import", help="store files, or a folder of `clean`, as the next version")
    import_.add_argument("name", metavar="NAME")
    import_.add_argument("paths", nargs="+", metavar="INPUT", help="as `clean --input`, or a folder of `clean`")
    choice_arguments(import_)
    import_.add_argument("--strict", action="store_true", help="refuse files at the first record that is wrong")
    import_.add_argument("--source", nargs="+", default=[], metavar="INPUT", help="of what the folder was made")
    licensed(import_)
    export = verbs.add_parser("export", help="write a version into a folder, as `clean` writes it")
    export.add_argument("version", metavar="VERSION")
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("--huggingface", action="store_true", help="a card with splits, and Parquet files in data/")
    merge = verbs.add_parser("merge", help="put versions together; each row says from which it comes")
    merge.add_argument("name", metavar="NAME", help="of what comes out")
    merge.add_argument("versions", nargs="+", metavar="VERSION")
    licensed(merge)
    split = verbs.add_parser("split", help="into train and test, so that what belongs together stays together")
    split.add_argument("version", metavar="VERSION")
    split.add_argument("--into", metavar="NAME", help="dataset of what comes out; the same by default")
    split.add_argument("--test-share", type=float, default=0.01, metavar="SHARE")
    split.add_argument("--seed", type=int, default=0)
    split.add_argument("--begin", type=int, default=0, metavar="N", help="first row that is taken, from 0")
    split.add_argument("--end", type=int, metavar="N", help="first row that is not taken any more")
    licensed(split)
    delete = verbs.add_parser("delete", help="delete a version with all its rows, for good")
    delete.add_argument("version", metavar="NAME@NUMBER")
    delete.add_argument("--yes", action="store_true", help="it is meant")


def import_lines(options: dict[str, Any]) -> Lines:
    name, paths, licence = name_check(options["name"]), options["paths"], options["licence"]
    if len(paths) == 1 and (Path(paths[0]) / REPORT).exists():
        folder = folder_read(Path(paths[0]))
        sources = _sources(options, folder)
        yield _stored(folder_store(name, folder, origin=Origin.IMPORT, sources=sources, licence=licence))
        return
    if options["source"]:
        raise CommandError("--source is of a folder of `clean`: files are kept as their own sources")
    inputs = inputs_given(options, "paths")
    recipe = recipe_parse({"name": name, "steps": []}, {}, default_name=name)
    with TemporaryDirectory(prefix="dataset-") as place:
        made = recipe_run(recipe, inputs, Path(place) / "out", Options(is_strict=options["strict"]))
        for reason, count in made.common[0].dropped.items():
            yield f"{count} left out: {reason} ({made.common[0].examples[reason][0]})"
        folder = folder_read(Path(place) / "out")
        yield _stored(folder_store(name, folder, origin=Origin.IMPORT, sources=sources_of(inputs), licence=licence))


def _sources(options: dict[str, Any], folder: Folder) -> Sources:
    """Of the files named by --source, which must be those that the folder was made of. Raises: CommandError."""
    of_files = any(options[name] for name in ("format", "map", "speakers", "split", "config"))
    if options["strict"] or (of_files and not options["source"]):
        said = "--strict, --format, --map, --speakers, --split and --config"
        raise CommandError(f"{said} are of files: a folder of `clean` has been read already")
    if not options["source"]:
        return no_sources
    inputs = inputs_given(options, "source")
    known = [one["file"] for one in folder.report["inputs"]]
    if others := [file for file in names_of(inputs) if file not in known]:
        raise CommandError(f"{folder.path} was made of {', '.join(known)}, and not of {others[0]}")
    return sources_of(inputs)


def export_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    version = version_get(reference)
    write = version_publish if options["huggingface"] else version_export
    for name, n_rows, n_erased in write(version, options["folder"], sets_of(version, reference.set_name)):
        gone = f", {n_erased} were erased" if n_erased else ""
        yield f"{options['folder'] / name}  {n_rows} conversations{gone}"


def merge_lines(options: dict[str, Any]) -> Lines:
    parts: list[Part] = []
    for text in options["versions"]:
        reference = reference_read(text)
        version = version_get(reference)
        parts += [(version, name) for name in sets_of(version, reference.set_name)]
    yield _stored(versions_merge(options["name"], parts, licence=options["licence"]))


def split_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    version = version_get(reference)
    names = sets_of(version, reference.set_name)
    if len(names) > 1:
        raise DerivationWrong(reason=f"{version} has {', '.join(names)}: name one, as {version}/{names[0]}")
    split = Split(options["test_share"], options["seed"], options["begin"], options["end"])
    yield _stored(
        version_split(options["into"] or reference.name, (version, names[0]), split, licence=options["licence"])
    )


def delete_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    if reference.number is None or reference.set_name is not None:
        raise DerivationWrong(reason="name the version that is to go, as NAME@NUMBER: it goes whole")
    version = version_get(reference)
    if not options["yes"]:
        raise DerivationWrong(reason=f"{version} has {version.n_rows} rows, which would be gone for good; add --yes")
    told = str(version)
    version_delete(version)
    yield f"{told} is deleted"


def _stored(stored: tuple[DatasetVersion, bool]) -> str:
    version, is_new = stored
    return f"{version}  {version.n_rows} rows" if is_new else f"{version} is the same, and stays"


MAKING: dict[str, Callable[[dict[str, Any]], Lines]] = {
    "import": import_lines,
    "export": export_lines,
    "merge": merge_lines,
    "split": split_lines,
    "delete": delete_lines,
}
