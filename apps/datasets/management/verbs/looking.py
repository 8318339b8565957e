"""Verbs that change no version: list, show, stats, diff, inspect."""

import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.datasets.cards import most
from apps.datasets.differences import Compared, Kind
from apps.datasets.errors import NameWrong
from apps.datasets.management.inputs import positive
from apps.datasets.models import DatasetVersion, TokenCount
from apps.datasets.names import Reference, reference_read
from apps.datasets.report import StepReport, report_text
from apps.datasets.selectors import (
    Inspected,
    datasets_list,
    n_erased,
    row_get,
    row_inspect,
    sets_of,
    steps_counted,
    version_get,
    versions_diff,
)
from apps.datasets.services.token_counts import tokens_count

Lines = Iterator[str]
_MARKS = {Kind.SAME: ("", ""), Kind.TAKEN: ("[-", "-]"), Kind.PUT: ("{+", "+}")}
"""As `git diff --word-diff` writes them."""
_EXAMPLES = 5


def looking_arguments(verbs: Any) -> None:
    verbs.add_parser("list", help="print all versions of all datasets")
    _named(verbs.add_parser("show", help="print how a version was made"))
    stats = verbs.add_parser("stats", help="print what is in a version, and count its tokens")
    _named(stats)
    stats.add_argument("--tokenizer", type=Path, metavar="FOLDER", help="count tokens by that of a model folder")
    stats.add_argument("--workers", type=positive, metavar="N", help="processes; as many as processors by default")
    diff = verbs.add_parser("diff", help="print what has changed between two versions")
    for side in ("old", "new"):
        diff.add_argument(side, metavar=side.upper(), help="NAME or NAME@NUMBER")
    inspect = verbs.add_parser("inspect", help="print a row beside its source")
    _named(inspect)
    which = inspect.add_mutually_exclusive_group(required=True)
    which.add_argument("--row", type=int, metavar="N", help="by its place in the set, from 0")
    which.add_argument("--id", help="by its id")


def _named(parser: ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="NAME, NAME@NUMBER or NAME@NUMBER/SET")


def list_lines(options: dict[str, Any]) -> Lines:
    for dataset in datasets_list():
        for version in dataset.versions.all():
            sets = ", ".join(f"{name} {told['n_rows']}" for name, told in version.sets.items())
            yield f"{dataset.name}@{version.number:<4} {version.created_at:%Y-%m-%d %H:%M}  {version.origin:<6} {sets}"


def show_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    version = version_get(reference)
    names = sets_of(version, reference.set_name)
    yield f"{version}, {version.n_rows} rows, made {version.created_at:%Y-%m-%d %H:%M} UTC"
    yield f"licence: {version.licence or 'not said'}"
    yield f"recipe: {version.recipe.get('name', '')} {version.recipe.get('sha256', '')}"
    yield f"hash: {version.hash}"
    if (gone := n_erased(version)) > 0:
        yield f"{gone} rows were erased since, and are empty"
    for one in version.inputs:
        yield f"from {one['file']}"
    yield report_text([StepReport.from_dict(one) for one in version.steps]).rstrip()
    for name in names:
        told = version.sets[name]
        yield f"\n{name}: {told['n_rows']} rows, sha256 {told['sha256']}"
        yield report_text([StepReport.from_dict(one) for one in told["steps"]]).rstrip()


def stats_lines(options: dict[str, Any]) -> Lines:
    if options["workers"] and options["tokenizer"] is None:
        raise CommandError("--workers count tokens: give --tokenizer FOLDER too")
    reference = reference_read(options["version"])
    version = version_get(reference)
    for name in sets_of(version, reference.set_name):
        told = version.sets[name]
        yield f"{name}: {told['n_conversations']} conversations, {told['n_messages']} messages, " + (
            f"{told['n_chars']} characters"
        )
        yield from _table("characters, from", list(told["lengths"].items()))
        yield from _table("questions, from", list(told.get("turns", {}).items()))
        yield from _table("language", most(told["languages"]))
        yield from _table("model", most(told["models"]))
        yield from _table("changed by", steps_counted(version, name))
        if options["tokenizer"] is not None:
            tokens_count(version, name, options["tokenizer"], options["workers"] or os.cpu_count() or 1)
        for count in version.token_counts.filter(set_name=name):
            yield from _token_lines(count)


def _token_lines(count: TokenCount) -> Lines:
    """Of each length also how many conversations have as many tokens or more."""
    totals = count.totals
    n_all = totals["n_conversations"]
    yield f"  tokens by {count.tokenizer} ({count.tokenizer_hash[:12]}): {totals['n_tokens']}, at most " + (
        f"{totals['longest']} in a conversation"
    )
    yield from _table("tokens of", most(totals["roles"]))
    yield "  tokens, from"
    n_left = n_all
    for edge, n in totals["lengths"].items():
        yield f"    {edge:<40} {n:>10}   {n_left / n_all:>6.1%} have as many or more"
        n_left -= n


def _table(title: str, counts: list[tuple[str, int]]) -> Lines:
    if counts:
        yield f"  {title}"
        yield from (f"    {name[:40]:<40} {n:>10}" for name, n in counts)


def diff_lines(options: dict[str, Any]) -> Lines:
    old, new = (version_get(_whole(options[which])) for which in ("old", "new"))
    for field in ("licence", "recipe", "inputs"):
        if getattr(old, field) != getattr(new, field):
            yield f"{field}: {_told(old, field)} -> {_told(new, field)}"
    for one in versions_diff(old, new, n_examples=_EXAMPLES):
        yield (
            f"{one.set_name}: {one.n_same} the same, {one.n_changed} changed, {one.n_added} added, "
            f"{one.n_removed} removed"
        )
        for what in sorted(one.examples):
            yield f"  {what}: {', '.join(one.examples[what])}"


def _whole(text: str) -> Reference:
    """Raises: NameWrong."""
    reference = reference_read(text)
    if reference.set_name is not None:
        raise NameWrong(name=text[:60], reason="versions are compared whole: leave the set out")
    return reference


def _told(version: DatasetVersion, field: str) -> str:
    match field:
        case "recipe":
            return f"{version.recipe.get('name', '')} {version.recipe.get('sha256', '')[:12]}".strip()
        case "inputs":
            return ", ".join(one["file"] for one in version.inputs)
    return version.licence or "none"


def inspect_lines(options: dict[str, Any]) -> Lines:
    reference = reference_read(options["version"])
    version = version_get(reference)
    set_name = reference.set_name or next(iter(version.sets))
    found = row_inspect(row_get(version, set_name, position=options["row"], id=options["id"] or ""))
    row = found.row
    yield f"row {row.position} of {version}/{set_name}, id {row.record_id}"
    place = f"record {row.source_record} of {row.source_file}" if row.source_file else "no file: a step made it"
    yield f"from {place}, changed by {', '.join(row.steps) or 'no step'}"
    yield from _messages(found)


def _messages(found: Inspected) -> Lines:
    if found.record is None:
        yield "It was erased."
    elif found.before is None:
        yield "What it was made of is not kept."
        for message in found.record.all_messages():
            yield f"\n{message.role}:\n{message.content}"
    for one in found.messages():
        yield f"\n{one.role}:\n{marked(one)}"


def marked(one: Compared) -> str:
    return "".join(f"{_MARKS[piece.kind][0]}{piece.text}{_MARKS[piece.kind][1]}" for piece in one.pieces)


LOOKING: dict[str, Callable[[dict[str, Any]], Lines]] = {
    "list": list_lines,
    "show": show_lines,
    "stats": stats_lines,
    "diff": diff_lines,
    "inspect": inspect_lines,
}
