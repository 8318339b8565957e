"""Which files of a dataset of Hugging Face are its data, and of which split: as its card says, or by their names. Pure.

No code of a dataset is run: one that is made by a script of its own has no data here.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from apps.core.texts import yaml_read
from apps.datasets.formats.globs import glob_fits, glob_parts

CARD = "README.md"
STATE, SPLITS_OF_FOLDERS = "state.json", "dataset_dict.json"
DEFAULT = "default"
Splits = dict[str, list[str]]
"""For each split the names of its files, from the dataset's folder on."""

_READ = re.compile(r"\.(parquet|arrow|(jsonl|ndjson|json)(\.(gz|zst|zstd))?)$", re.IGNORECASE)
_IGNORED = frozenset(
    {CARD, SPLITS_OF_FOLDERS, "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip"}
)
"""What the library takes for data only if it is named."""
_NO_DATA = _IGNORED | {STATE, "report.json"}
_OTHER_DATA = re.compile(r"\.(csv|tsv|txt|xml|zip|tar|bin|pickle|pkl|h5)(\.(gz|zst|zstd|bz2|xz))?$", re.IGNORECASE)
_SHARDED = re.compile(r"data/(?P<split>\w+(\.\w+)*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_SHARD = re.compile(r"(?P<before>.*-)(?P<number>[0-9]{5})-of-(?P<n>[0-9]{5})(?![0-9])")
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Words that name a split in the name of a file or a folder, if no other letter stands beside them.

Source: datasets/data_files.py of huggingface/datasets, `SPLIT_KEYWORDS`, `SPLIT_PATTERN_SHARDED`, `FILES_TO_IGNORE`;
https://huggingface.co/docs/hub/datasets-file-names-and-splits.
"""
_BETWEEN = r"[-._ 0-9]"
CARD_MAX_CHARS = 4_000_000


class LayoutWrong(ValueError):
    """Why it cannot be said which files are the data."""


def splits_of(names: Iterable[str], text_of: Callable[[str], str], config: str | None = None) -> Splits:
    """The splits of one configuration, each with at least one file. `text_of`: what stands in a file.

    `config` None: the one that there is, or the one that its card makes the default. Raises: LayoutWrong.
    """
    known = sorted(name for name in names if ".." not in PurePosixPath(name).parts and not name.startswith("/"))
    splits = _saved(known, text_of)
    if splits is not None:
        if config is not None:
            raise LayoutWrong("it was saved by save_to_disk, and has no configurations: leave --config out")
    else:
        splits = _configured(known, text_of, config)
    for split, files in splits.items():
        _check_whole(split, files, known)
    return splits


def data_of(names: Iterable[str]) -> list[str]:
    """Files that look like data, also those of a kind that is not read here."""
    return [name for name in sorted(names) if _is_data(name) or (_OTHER_DATA.search(name) and not _is_hidden(name))]


# --- As save_to_disk of the library `datasets` leaves it --------------------------------------------------------------


def _saved(names: Sequence[str], text_of: Callable[[str], str]) -> Splits | None:
    """None: it is no such folder."""
    if SPLITS_OF_FOLDERS in names:
        told = _json_of(SPLITS_OF_FOLDERS, text_of).get("splits")
        if not isinstance(told, list) or not told or not all(isinstance(one, str) for one in told):
            raise LayoutWrong(f"{SPLITS_OF_FOLDERS} does not name its splits")
        return {split: _files_of_state(f"{split}/", names, text_of) for split in told}
    if STATE in names:
        split = _json_of(STATE, text_of).get("_split")
        return {split if isinstance(split, str) and split else "train": _files_of_state("", names, text_of)}
    return None


def _files_of_state(folder: str, names: Sequence[str], text_of: Callable[[str], str]) -> list[str]:
    """In their order. Others that lie there are the library's cache."""
    place = f"{folder}{STATE}"
    if place not in names:
        raise LayoutWrong(f"{place} is missing")
    told = _json_of(place, text_of).get("_data_files")
    files = [one.get("filename") for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    if not files or not all(isinstance(file, str) for file in files):
        raise LayoutWrong(f"{place} does not name its files")
    found = [f"{folder}{file}" for file in files]
    if missing := [file for file in found if file not in names]:
        raise LayoutWrong(f"{missing[0]} is missing, which {place} names")
    return found


def _json_of(name: str, text_of: Callable[[str], str]) -> dict[str, Any]:
    try:
        value = json.loads(text_of(name))
    except (ValueError, RecursionError) as exc:
        raise LayoutWrong(f"{name} is not JSON") from exc
    if not isinstance(value, dict):
        raise LayoutWrong(f"{name} is no JSON object")
    return value


# --- As its card says -------------------------------------------------------------------------------------------------


def _configured(names: Sequence[str], text_of: Callable[[str], str], wanted: str | None) -> Splits:
    configs = _configs(text_of(CARD)) if CARD in names else {}
    if not configs:
        if wanted not in (None, DEFAULT):
            raise LayoutWrong(f"its card names no configurations, and so there is no {wanted!r}: leave --config out")
        return _by_names(names, "")
    said = configs[_chosen(configs, wanted)]
    folder = _text(said.get("data_dir") or "", "a data_dir").strip("/")
    folder = f"{folder}/" if folder else ""
    patterns = said.get("data_files")
    return _by_names(names, folder) if patterns is None else _by_patterns(names, folder, patterns)


def _configs(card: str) -> dict[str, Mapping[str, Any]]:
    """By name, those of the card's head that say where their files are."""
    if not card.startswith("---") or len(card) > CARD_MAX_CHARS:
        return {}
    head, mark, _ = card[3:].partition("\n---")
    try:
        told = yaml_read(head) if mark else None
    except (yaml.YAMLError, RecursionError) as exc:
        raise LayoutWrong(f"the head of its {CARD} is not YAML") from exc
    configs = told.get("configs") if isinstance(told, dict) else None
    if configs is None:
        return {}
    if not isinstance(configs, list) or not all(isinstance(one, dict) for one in configs):
        raise LayoutWrong(f"the configs in its {CARD} are no list of tables")
    found = [one for one in configs if {"data_files", "data_dir"} & one.keys()]
    names = [_text(one.get("config_name", DEFAULT), "the name of a configuration") for one in found]
    _check_once(names, "configuration")
    return dict(zip(names, found, strict=True))


def _chosen(configs: Mapping[str, Mapping[str, Any]], wanted: str | None) -> str:
    names = ", ".join(configs)
    if wanted is not None:
        if wanted not in configs:
            raise LayoutWrong(f"it has no configuration {wanted!r}: --config is one of {names}")
        return wanted
    default = [name for name, one in configs.items() if one.get("default") is True]
    if default or DEFAULT in configs or len(configs) == 1:
        return [*default, *({DEFAULT} & configs.keys()), *configs][0]
    raise LayoutWrong(f"it has several configurations: choose one with --config, of {names}")


def _by_patterns(names: Sequence[str], folder: str, patterns: object) -> Splits:
    splits: Splits = {}
    for split, wanted in _patterns(patterns).items():
        files: dict[str, None] = {}
        for pattern in wanted:
            found = list(filter(_chooser(f"{folder}{pattern.removeprefix('./')}"), names))
            if not found:
                raise LayoutWrong(f"no file is {folder}{pattern}, as its {CARD} says of the split {split}")
            if others := [name for name in found if not _READ.search(name)]:
                raise LayoutWrong(f"{others[0]}, of the split {split}, is of a kind that is not read here")
            files |= dict.fromkeys(found)
        splits[split] = list(files)
    return splits


def _patterns(said: object) -> dict[str, list[str]]:
    """As the library reads them: one pattern or several, of the split train, or some for each split."""
    match said:
        case str():
            return {"train": [said]}
        case list() if said and all(isinstance(one, str) for one in said):
            return {"train": said}
        case list() if said and all(isinstance(one, dict) for one in said):
            splits = [_text(one.get("split"), "the name of a split") for one in said]
            _check_once(splits, "split")
            return {split: _texts(one.get("path")) for split, one in zip(splits, said, strict=True)}
        case dict() if said:
            return {_text(split, "the name of a split"): _texts(path) for split, path in said.items()}
    raise LayoutWrong(f"the data_files in its {CARD} are neither patterns nor splits with their paths")


def _check_once(names: Iterable[str], what: str) -> None:
    """As the library does: of two of one name the later would take the place of the other. Raises: LayoutWrong."""
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise LayoutWrong(f"its {CARD} has the {what} {twice[0]} twice: give each name once")


def _text(said: object, what: str) -> str:
    """Nothing else is made a text: that of nested aliases would have no end."""
    if not isinstance(said, str):
        raise LayoutWrong(f"its {CARD} has {what} that is no text: put it in quotes")
    return said


def _texts(said: object) -> list[str]:
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise LayoutWrong(f"the data_files in its {CARD} have a split without a path")
    return found


def _chooser(pattern: str) -> Callable[[str], bool]:
    """Whether a name is meant. Raises: LayoutWrong."""
    path = PurePosixPath(pattern)
    if ".." in path.parts or pattern.startswith("/") or "://" in pattern:
        raise LayoutWrong(f"{pattern} lies outside of the dataset, and is not read")
    parts = glob_parts(path.parts)

    def is_chosen(name: str) -> bool:
        """Of the files that are no data only those that are named, as the library does."""
        file = PurePosixPath(name)
        return (file.name not in _IGNORED or path.name == file.name) and glob_fits(parts, file.parts)

    return is_chosen


# --- By their names ---------------------------------------------------------------------------------------------------


def _by_names(names: Sequence[str], folder: str) -> Splits:
    """First by `data/SPLIT-00000-of-00001`, then by words in folders, then in files; else all are one split."""
    files = [name for name in names if name.startswith(folder) and _is_data(name.removeprefix(folder))]
    if not files:
        seen = [name for name in data_of(names) if not _is_data(name)]
        why = f": {seen[0]} is of a kind that is not read here" if seen else ""
        raise LayoutWrong(f"it holds no data in Parquet, Arrow or JSON{why}")
    sharded = [(found["split"], name) for name in files if (found := _SHARDED.fullmatch(name.removeprefix(folder)))]
    if sharded:
        return _in_order(sharded)
    for of_folders in (True, False):
        named = [
            (split, name)
            for split, words in _KEYWORDS.items()
            for name in files
            if _is_named(PurePosixPath(name.removeprefix(folder)), words, of_folders=of_folders)
        ]
        if named:
            return _in_order(named)
    return {"train": files}


def _in_order(found: Iterable[tuple[str, str]]) -> Splits:
    """train, validation and test first, as the library has them."""
    splits: Splits = {}
    for split, name in found:
        splits.setdefault(split, []).append(name)
    return {split: splits[split] for split in sorted(splits, key=lambda one: (one not in _KEYWORDS, _rank(one), one))}


def _rank(split: str) -> int:
    return [*_KEYWORDS, split].index(split)


def _is_named(path: PurePosixPath, words: Sequence[str], *, of_folders: bool) -> bool:
    word = rf"(.*{_BETWEEN})?({'|'.join(words)})"
    if of_folders:
        return any(re.fullmatch(rf"{word}({_BETWEEN}.*)?", part) for part in path.parts[:-1])
    return re.match(rf"{word}{_BETWEEN}", path.name) is not None


def _is_data(name: str) -> bool:
    file = PurePosixPath(name).name
    is_cache = file.startswith("cache-") and file.endswith(".arrow")
    return _READ.search(name) is not None and file not in _NO_DATA and not is_cache and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name.startswith(".") or any(part.startswith((".", "__")) for part in path.parts[:-1])


def _check_whole(split: str, files: Sequence[str], known: Sequence[str]) -> None:
    """Of files that say how many they are, none may be missing, also if a card chooses some. Raises: LayoutWrong."""
    chosen = {(found["before"], found["n"]) for name in files if (found := _SHARD.match(name))}
    there = {(found["before"], found["n"], found["number"]) for name in known if (found := _SHARD.match(name))}
    for before, n in sorted(chosen):
        for number in range(int(n)):
            if (before, n, f"{number:05}") not in there:
                raise LayoutWrong(f"{before}{number:05}-of-{n}, of the split {split}, is missing: download it again")
