"""The folder that a run or an export writes: by one run at a time, and there only when all is in it.

Until then what is done so far stays beside it, in a folder of its name with `.unfinished`, and the same command goes on
from there. Only what a run has made is ever replaced; what else lies under either name is not touched.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.datasets.chunks import written_whole
from apps.datasets.errors import OutputBusy, OutputExists, OutputForeign, OutputUnwritable, WorkStale
from apps.datasets.folder import CARD, REPORT

_LOCK, _PLAN, _REPLACED, _MADE = "lock", "plan.json", "replaced", "made"


def check_free(output: Path, *, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Whether a run may give its folder this name. Raises: OutputExists, OutputForeign."""
    if output.name in ("", ".."):
        raise OutputForeign(path=str(output), reason="it is where other folders are, and no name for a new one")
    for folder in (output, unfinished_of(output)):
        for path in inputs:
            if path.resolve().is_relative_to(folder.resolve()):
                raise OutputForeign(path=str(folder), reason=f"the input {path} lies in it")
    if not os.path.lexists(output):
        return
    if not overwrite:
        raise OutputExists(path=str(output))
    if reason := _foreign(output):
        raise OutputForeign(path=str(output), reason=reason)


def unfinished_of(output: Path) -> Path:
    return output.with_name(output.name + ".unfinished")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """`folder`, made if need be, for this run alone. It goes when it is empty or the run is done, and stays otherwise.

    Raises: OutputBusy, OutputForeign, OSError.
    """
    descriptor = _locked(folder)
    try:
        yield
    finally:
        if _names_in(folder) == {_LOCK}:
            (folder / _LOCK).unlink()
            try:
                folder.rmdir()
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another run has it now
                    raise
        os.close(descriptor)


@contextmanager
def made_whole(output: Path) -> Iterator[Path]:
    """An empty folder, which becomes `output` when the block has put all into it. What a killed one has left goes.

    Raises: OutputExists, OutputForeign, OutputBusy, OutputUnwritable.
    """
    if os.path.lexists(output):
        raise OutputExists(path=str(output))
    unfinished = unfinished_of(output)
    made = unfinished / _MADE
    try:
        with claimed(unfinished):
            if _names_in(unfinished) - {_LOCK, _MADE}:
                raise OutputForeign(path=str(unfinished), reason="what a run of manage.py clean has begun lies in it")
            try:
                emptied(unfinished)
                made.mkdir()
                yield made
                made.rename(output)
            finally:
                emptied(unfinished)
    except OSError as exc:
        raise OutputUnwritable(path=str(output), reason=exc.strerror or str(exc)) from exc


def emptied(folder: Path) -> None:
    """Take away all but the claim, also where a Celery worker that was taken for dead is still writing."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _removed(path)
        elif path.name != _LOCK:
            path.unlink()


def _removed(folder: Path) -> None:
    while True:
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:  # what is in it was taken away by who wrote it
            if not folder.exists():
                return
        except OSError as exc:
            # Something came meanwhile. It is the last of who wrote it, because its folder is gone, or will be.
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def begun(folder: Path, plan: dict[str, Any], *, overwrite: bool) -> None:
    """Go on with what is in `folder`, if it was begun with the same plan. Raises: WorkStale."""
    try:
        before = json.loads((folder / _PLAN).read_bytes())
    except FileNotFoundError:
        before = None
    except ValueError as exc:
        if not overwrite:
            raise WorkStale(path=str(folder)) from exc
        before = None
    if before == plan:
        return
    if before is not None and not overwrite:
        raise WorkStale(path=str(folder))
    emptied(folder)
    with written_whole(folder / _PLAN) as file:
        file.write(json.dumps(plan).encode())


def put_in_place(made: Path, output: Path) -> None:
    """`made` becomes `output`. What was there is taken away only when that is done. Raises: OSError."""
    if not os.path.lexists(output):
        made.rename(output)
        return
    replaced = made.with_name(_REPLACED)
    if replaced.exists():
        shutil.rmtree(replaced)
    output.rename(replaced)
    try:
        made.rename(output)
    except OSError:
        replaced.rename(output)
        raise


def _locked(folder: Path) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        names = _names_in(folder)
        if names and not names & {_LOCK, _PLAN}:
            raise OutputForeign(path=str(folder), reason=f"it holds {min(names)!r}, which no run has left")
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # a run that ended has just taken the folder away
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(descriptor, folder / _LOCK):
                return descriptor
        except BlockingIOError as exc:
            os.close(descriptor)
            raise OutputBusy(path=str(folder)) from exc
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_file(descriptor: int, path: Path) -> bool:
    """Not one that was there before, and was taken away while this run waited to open it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _foreign(folder: Path) -> str:
    """Why this is nothing that a run made; empty if it is."""
    if folder.is_symlink() or not folder.is_dir():
        return "it is no folder"
    names = _names_in(folder)
    if not names:
        return ""
    try:
        sets = json.loads((folder / REPORT).read_bytes())["sets"]
        known = {REPORT, CARD, *(one["file"] for one in sets.values())}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return f"it has no {REPORT} of a run"
    others = names - known
    return f"it also holds {min(others)!r}" if others else ""


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
