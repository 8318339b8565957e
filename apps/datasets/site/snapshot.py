"""Chats and battles written into files, from which a run reads them: once for all of the run, in the order of their
beginning. Read by a cursor of the server: memory does not grow with them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import orjson
from django.db.models import Count, QuerySet

from apps.consents.models import Kind
from apps.core.texts import clean_json
from apps.datasets.chunks import written_whole
from apps.datasets.errors import OutputUnwritable
from apps.datasets.output_folder import claimed, emptied, unfinished_of
from apps.datasets.report import StepReport
from apps.datasets.run import Input
from apps.datasets.site.asked import Asked, Found, Origin, What, Why
from apps.datasets.site.battles import battles_asked, battles_read
from apps.datasets.site.chats import chats_asked, chats_read
from apps.datasets.site.standing import of_consenting, refusals

T = TypeVar("T")

AT_ONCE = 100
STEP = "take from the site"
"""What the reading is called among the steps."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was asked for, in `path`; `origins`: a line for each of its records. `report` says what was left out."""

    asked: Asked
    path: Path
    origins: Path
    report: StepReport

    @property
    def input(self) -> Input:
        name = str(self.asked.what)
        return Input(self.path, self.asked.shape, name=name, taken=self.report, about=self.asked.told)


@contextmanager
def taken_for(output: Path, asked: Sequence[Asked], *, anew: bool) -> Iterator[list[Taken]]:
    """Beside `output`, for this run alone; gone when it has ended well.

    What a run that was broken off took is used again, unless something of it may be used no more: then all begins anew.
    Raises: OutputBusy, OutputForeign, OutputUnwritable.
    """
    folder = output.with_name(output.name + ".site")
    with ExitStack() as held:
        with _said_well(folder):
            held.enter_context(claimed(folder))
            taken = [] if anew else [one for said in asked if (one := _loaded(said, folder)) is not None]
            if len(taken) < len(asked) or any(map(refused, taken)):
                if taken:
                    _forget_work(output)
                emptied(folder)
                taken = [site_take(one, folder) for one in asked]
        yield taken
        with _said_well(folder):
            emptied(folder)


@contextmanager
def _said_well(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputUnwritable(path=str(folder), reason=exc.strerror or str(exc)) from exc


def _forget_work(output: Path) -> None:
    unfinished = unfinished_of(output)
    if unfinished.exists():
        with claimed(unfinished):
            emptied(unfinished)


def site_take(asked: Asked, folder: Path, *, most: int | None = None) -> Taken:
    """`most`: so many records at most, for a look. Raises: OSError."""
    path, origins, told = _paths(asked, folder)
    report = StepReport(STEP)
    rows, n_others = _rows(asked)
    report.n_in = n_others
    report.dropped[Why.NO_CONSENT] = n_others
    with ExitStack() as files:
        lines, its_origins = (files.enter_context(written_whole(one)) for one in (path, origins))
        for found in islice(_usable(asked, rows, report), most):
            report.n_out += 1
            lines.write(orjson.dumps(clean_json(found.value), option=orjson.OPT_APPEND_NEWLINE))
            its_origins.write(orjson.dumps(asdict(found.origin), option=orjson.OPT_APPEND_NEWLINE))
    report.dropped += Counter()  # without those that are 0
    with written_whole(told) as file:
        file.write(json.dumps({"asked": _plan(asked), "report": report.as_dict()}).encode())
    return Taken(asked, path, origins, report)


def _usable(asked: Asked, rows: QuerySet[Any], report: StepReport) -> Iterator[Found]:
    read = chats_read if asked.what is What.CHATS else battles_read
    for keys in _batched(rows.values_list("pk", flat=True).order_by("pk").iterator(chunk_size=1000), AT_ONCE):
        for some in _batched(read(keys, asked), 20):
            found = [one for one in some if isinstance(one, Found)]
            whys = dict(zip(map(id, found), refusals([one.origin for one in found]), strict=True))
            for one in some:
                report.n_in += 1
                why = one if isinstance(one, Why) else whys[id(one)]
                if why is not None:
                    report.dropped[why] += 1
                elif isinstance(one, Found):
                    yield one


def _rows(asked: Asked) -> tuple[QuerySet[Any], int]:
    """Those of people who agree, and how many others there are."""
    rows: QuerySet[Any] = chats_asked(asked) if asked.what is What.CHATS else battles_asked(asked)
    agreed = of_consenting(Kind.CHATS if asked.what is What.CHATS else Kind.BATTLES)
    counts = rows.aggregate(n_all=Count("pk"), n_agreed=Count("pk", filter=agreed))
    return rows.filter(agreed), counts["n_all"] - counts["n_agreed"]


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


# --- What was taken before --------------------------------------------------------------------------------------------


def refused(taken: Taken) -> Counter[Why]:
    """How many of its records may be used no more, and why."""
    found: Counter[Why] = Counter()
    for some in _batched(origins_read(taken.origins), AT_ONCE):
        found.update(why for why in refusals(some) if why is not None)
    return found


def origins_read(path: Path) -> Iterator[Origin]:
    with path.open("rb") as file:
        for line in file:
            told = orjson.loads(line)
            yield Origin(tuple(told["conversations"]), tuple(told["messages"]), told["battle"])


def _loaded(asked: Asked, folder: Path) -> Taken | None:
    """None: it was not taken to its end, or something else was."""
    path, origins, told = _paths(asked, folder)
    try:
        said = json.loads(told.read_bytes())
    except FileNotFoundError:
        return None
    if said["asked"] != _plan(asked):
        return None
    return Taken(asked, path, origins, StepReport.from_dict(said["report"]))


def _plan(asked: Asked) -> dict[str, str]:
    return {"what": str(asked.what), "shape": str(asked.shape), **asked.told}


def _paths(asked: Asked, folder: Path) -> tuple[Path, Path, Path]:
    name = asked.what.replace(":", "-")
    return folder / f"{name}.jsonl", folder / f"{name}.origins", folder / f"{name}.json"
