"""A version written into a folder, as `manage.py clean` writes it: `dataset import` reads it again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import yaml

from apps.datasets.folder import CARD, REPORT
from apps.datasets.formats.parquet import lines_to_parquet
from apps.datasets.formats.writing import Written
from apps.datasets.models import DatasetVersion
from apps.datasets.output_folder import made_whole
from apps.datasets.row_lines import record_of
from apps.datasets.selectors import lines_of

Exported = list[tuple[str, int, int]]
"""For each set the name of its file, how many rows it has, and how many were erased."""


def version_export(version: DatasetVersion, folder: Path, set_names: list[str]) -> Exported:
    """The folder is there when all is in it. Raises: as `made_whole`."""
    with made_whole(folder) as unfinished:
        sets: dict[str, dict[str, Any]] = {}
        exported: Exported = []
        for name in set_names:
            lines = unfinished / f"{name}.jsonl"
            n_rows, sha256 = _write(version, name, lines)
            told = version.sets[name]
            n_erased = told["n_rows"] - n_rows
            sets[name] = {**told, **(_counts(lines) if n_erased else {}), "file": lines.name, "sha256": sha256}
            exported.append((lines.name, n_rows, n_erased))
        (unfinished / REPORT).write_text(json.dumps(_report(version, sets), indent=2, ensure_ascii=False))
        (unfinished / CARD).write_text(_card(version, exported))
    return exported


def _report(version: DatasetVersion, sets: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": version.recipe,
        "code_sha256": version.code_version,
        "inputs": version.inputs,
        "version": str(version),
        "licence": version.licence,
        "steps": version.steps,
        "sets": sets,
    }


def _write(version: DatasetVersion, set_name: str, path: Path) -> tuple[int, str]:
    digest, n_rows = hashlib.sha256(), 0
    with path.open("wb") as file:
        for _, line in lines_of(version, set_name):
            file.write(line + b"\n")
            digest.update(line + b"\n")
            n_rows += 1
    return n_rows, digest.hexdigest()


def _counts(lines: Path) -> dict[str, Any]:
    """Of the rows that are left: the version has those of all."""
    written = Written()
    with lines.open("rb") as file:
        for line in file:
            written.add(record_of(orjson.loads(line)))
    return {"n_rows": written.n_conversations, **written.as_dict()}


def _card(version: DatasetVersion, exported: Exported) -> str:
    """The card counts what was stored: what is not here any more is told below."""
    erased = [f"{n_erased} rows of it were erased since: {file} has {n_rows}." for file, n_rows, n_erased in exported
              if n_erased]  # fmt: skip
    return "\n".join([version.card, *erased, ""]) if erased else version.card


def version_publish(
    version: DatasetVersion,
    folder: Path,
    set_names: list[str],
    *,
    card: Callable[[Path, str], str] | None = None,
    check: Callable[[Path], None] | None = None,
) -> Exported:
    """As a dataset of Hugging Face: a card with its splits, and a Parquet file for each.

    `card`: makes another of the version's, and may put files beside it, into the folder that it is given.
    `check`: looks at that folder when all is in it. If it raises, nothing of it is left.
    Source: https://huggingface.co/docs/hub/datasets-manual-configuration. Raises: as `made_whole`.
    """
    exported: Exported = []
    splits = splits_of(set_names)
    with made_whole(folder) as unfinished:
        data = unfinished / "data"
        data.mkdir()
        for name, split in splits.items():
            lines, file = data / f"{name}.jsonl", f"{split}-00000-of-00001.parquet"
            n_rows, _ = _write(version, name, lines)
            lines_to_parquet(lines, data / file)
            lines.unlink()
            exported.append((f"data/{file}", n_rows, version.sets[name]["n_rows"] - n_rows))
        files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits.values()]
        told: dict[str, Any] = {"configs": [{"config_name": "default", "data_files": files}]}
        if version.licence:
            told = {"license": version.licence.lower(), **told}
        head = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
        text = _card(version, exported)
        text = text if card is None else card(unfinished, text)
        (unfinished / CARD).write_text(f"---\n{head}---\n\n{text}")
        if check is not None:
            check(unfinished)
    return exported


def splits_of(set_names: list[str]) -> dict[str, str]:
    """By the name of a set that of its split: `datasets` takes none with a dash, and means all of them by "all"."""
    splits: dict[str, str] = {}
    for name in set_names:
        split = "all_rows" if name.lower() == "all" else name.replace("-", "_")
        while split in splits.values():
            split += "_"
        splits[name] = split
    return splits
