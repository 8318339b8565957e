"""What a command is given as its input: files, folders of datasets as Hugging Face lays them out, and datasets on its
hub. Each becomes the files that are read."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.datasets.errors import DatasetWrong, FileUnreadable
from apps.datasets.formats.layout import LayoutWrong, Splits, data_of, splits_of
from apps.datasets.formats.renaming import Names
from apps.datasets.formats.shapes import Shape
from apps.datasets.hub import PREFIX, dataset_fetch
from apps.datasets.run import Input, inputs_of


@dataclass(frozen=True, slots=True)
class Choice:
    """Of a dataset. None: all splits; the configuration that its card makes the default."""

    split: str | None = None
    config: str | None = None


@dataclass(slots=True)
class Found:
    """`told`: of each dataset what is read of it, for people."""

    inputs: list[Input] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str = ""
    split: str = ""


def inputs_find(texts: Iterable[str], choice: Choice, shape: Shape | None = None, names: Names | None = None) -> Found:
    """`texts`: paths of files and folders, and `hf:ORG/NAME[@REVISION]`. `names`: what their fields are called.

    Raises: FileUnreadable, FormatUnknown, DatasetWrong, HubRefused.
    """
    told: list[str] = []
    files: list[_File] = []
    for text in texts:
        files += _files_of(text, choice, told)
    inputs = inputs_of([one.path for one in files], shape, names)
    named = [replace(one, name=file.name, split=file.split) for one, file in zip(inputs, files, strict=True)]
    return Found(named, told)


def _files_of(text: str, choice: Choice, told: list[str]) -> list[_File]:
    if text.startswith(PREFIX):
        chosen: dict[str, str] = {}

        def choose(names: Sequence[str], text_of: Callable[[str], str]) -> Sequence[str]:
            chosen.update(_chosen(text, names, text_of, choice, told))
            return list(chosen)

        fetched = dataset_fetch(text, choose)
        told.append(f"{text} is the commit {fetched.commit}")
        place = f"{PREFIX}{fetched.id}@{fetched.commit}"
        return [_File(fetched.folder / name, f"{place}/{name}", split) for name, split in chosen.items()]
    folder = Path(text)
    if folder.is_dir():
        found = _chosen(text, _names_in(folder), lambda name: _text_of(folder / name), choice, told)
        return [_File(folder / name, split=split) for name, split in found.items()]
    if choice.split is not None or choice.config is not None:
        raise DatasetWrong(what=text, reason="it is no folder of a dataset: leave --split and --config out")
    return [_File(folder)]


def _chosen(
    what: str, names: Sequence[str], text_of: Callable[[str], str], choice: Choice, told: list[str]
) -> dict[str, str]:
    """The split of each file that is read, in order. Raises: DatasetWrong."""
    try:
        splits = splits_of(names, text_of, choice.config)
    except LayoutWrong as exc:
        raise DatasetWrong(what=what, reason=str(exc)) from exc
    if choice.split is not None and choice.split not in splits:
        raise DatasetWrong(what=what, reason=f"it has no split {choice.split!r}: --split is one of {', '.join(splits)}")
    read = splits if choice.split is None else {choice.split: splits[choice.split]}
    told.append(f"{what}: {_words(read)}{_rest(names, splits, read)}")
    return {name: split for split, files in read.items() for name in files}


def _words(splits: Splits) -> str:
    return ", ".join(f"split {split} of {len(files)} file(s)" for split, files in splits.items())


def _rest(names: Sequence[str], splits: Splits, read: Splits) -> str:
    """What is there and is not read, so that nobody takes a part for the whole."""
    told = f"; not read: {', '.join(split for split in splits if split not in read)}" if splits != read else ""
    used = {name for files in splits.values() for name in files}
    if others := [name for name in data_of(names) if name not in used]:
        told += f"; {len(others)} other file(s) belong to none, as {others[0]}"
    return told


def _names_in(folder: Path) -> list[str]:
    """Of all files in it and below, from it on; linked folders are a part of it. Raises: FileUnreadable."""

    def refuse(exc: OSError) -> None:
        raise FileUnreadable(path=str(exc.filename), reason=exc.strerror or str(exc)) from exc

    names: list[str] = []
    places: dict[Path, str] = {}
    for place, _, files in os.walk(folder, onerror=refuse, followlinks=True):
        first = places.setdefault(Path(place).resolve(), place)
        if first != place:
            # Its rows would come twice, or without an end.
            raise FileUnreadable(path=place, reason=f"it leads to the folder {first}, which is read already: remove it")
        names += [(Path(place) / name).relative_to(folder).as_posix() for name in files]
    return names


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError as exc:
        raise FileUnreadable(path=str(path), reason=exc.strerror or str(exc)) from exc
