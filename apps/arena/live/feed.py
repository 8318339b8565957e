"""One page's view of the turn of a battle, as frames, by the pacing rule.

It has no queue: a page that reads slowly gets fewer frames, which hold more.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from apps.arena import frames, selectors
from apps.arena.errors import side_failure
from apps.arena.frames import SideUpdate
from apps.arena.live.pacing import TICK_S, Pace, Progress, Written, rest_seen
from apps.arena.spoken import spoken
from apps.conversations.live.answer import Answer
from apps.conversations.live.reader import Reader
from apps.conversations.live.registry import reader_of
from apps.conversations.markdown import BlockStream
from apps.conversations.models import GenerationState
from apps.conversations.outcomes import Failure
from apps.core.frames import Frame
from apps.core.threads import in_thread

RENDERED_IN_PLACE_CHARS = 4000
"""More than that is rendered off the event loop."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The turn of a battle; A's generation comes first."""

    battle: UUID
    number: int
    generations: tuple[UUID, UUID]
    is_blind: bool
    """Whether the names are still to be told; if not, thoughts are shown, and nothing waits for the slower one."""


async def follow(turn: Watched) -> AsyncGenerator[Frame, None]:
    """Yield what may be seen now, a frame at every tick with what is new, and the end of the turn."""
    readers = (reader_of(turn.generations[0]), reader_of(turn.generations[1]))
    a, b = (_ShownSide(reader, hides_thoughts=turn.is_blind) for reader in readers)
    await asyncio.gather(*(reader.loaded.wait() for reader in readers))
    pace, ticks, rest = Pace(), _Ticks(), _Rest(turn)
    n_shown = pace.jump(a.progress, b.progress, rest=await rest.seen(a.progress, b.progress))
    while True:
        updates = [await side.show(n_shown, is_whole=pace.is_done) for side in (a, b)]
        yield frames.progress(turn.battle, turn.number, *updates)
        if (failure := _failure_of(*readers)) is not None or pace.is_done:
            break
        await ticks.next()
        is_rest_due = await rest.seen(a.progress, b.progress) is not None
        n_shown = pace.advance(a.progress, b.progress, is_rest_due=is_rest_due)
    yield frames.turn_ended(turn.battle, turn.number, failure)


class _Rest:
    """How much of the longer answer's rest may be seen, by what is stored of both when both have ended."""

    def __init__(self, turn: Watched) -> None:
        self._turn = turn
        self._written: tuple[Written, Written] | None = None

    async def seen(self, a: Progress, b: Progress) -> int | None:
        """As `rest_seen`; of a battle whose names are known, all of it as soon as both have ended."""
        if not (a.has_ended and b.has_ended):
            return None
        if not self._turn.is_blind:
            return max(a.n_chars, b.n_chars)
        if self._written is None:
            self._written = await in_thread(selectors.written_get, self._turn.generations)
        return rest_seen(*self._written, _now_s())


class _ShownSide:
    """What the page shows of one side."""

    def __init__(self, reader: Reader, *, hides_thoughts: bool) -> None:
        self._reader = reader
        self._hides_thoughts = hides_thoughts
        self._n_hidden: int | None = None
        self._counted: Answer | None = None
        self._stream = BlockStream()
        self._text = ""
        self._tail = ""
        self._is_new = True

    @property
    def progress(self) -> Progress:
        outcome = self._reader.outcome
        was_stopped = outcome is not None and outcome.state == GenerationState.STOPPED
        return Progress(self._reader.answer.n_chars - self._hidden(), outcome is not None, was_stopped)

    async def show(self, n_chars: int, *, is_whole: bool) -> SideUpdate:
        """Show so many characters; of a whole answer, what is left becomes blocks."""
        n_hidden = self._hidden()
        text = self._text if self._is_shown(n_chars) else self._reader.answer.text[n_hidden : n_hidden + n_chars]
        restart, self._is_new = self._is_new, False
        if not text.startswith(self._text):
            # Another process found another text, as after a worker that was lost before it had written anything.
            restart, self._stream, self._text, self._tail = True, BlockStream(), "", ""
        addition, self._text = text[len(self._text) :], text
        if len(addition) > RENDERED_IN_PLACE_CHARS:
            blocks = await asyncio.to_thread(self._render, addition, is_whole)
        else:
            blocks = self._render(addition, is_whole)
        return self._update(restart, blocks)

    def _is_shown(self, n_chars: int) -> bool:
        n_there = self._reader.answer.n_chars - self._hidden()
        return self._reader.outcome is None and len(self._text) == min(n_chars, n_there)

    def _hidden(self) -> int:
        """How many characters at its beginning are not shown."""
        answer = self._reader.answer
        if not self._hides_thoughts:
            return 0
        if self._n_hidden is None or self._counted is not answer:
            shown = spoken(answer.text, is_whole=self._reader.outcome is not None)
            self._counted, self._n_hidden = answer, answer.n_chars - len(shown) if shown else None
        return answer.n_chars if self._n_hidden is None else self._n_hidden

    def _render(self, addition: str, is_whole: bool) -> list[str]:
        blocks = self._stream.feed(addition) if addition else []
        return blocks + (self._stream.finish() if is_whole else [])

    def _update(self, restart: bool, blocks: list[str]) -> SideUpdate:
        old, self._tail = self._tail, self._stream.tail
        if restart or blocks or not self._tail.startswith(old):
            return SideUpdate(restart, tuple(blocks), self._tail)
        return SideUpdate(text=self._tail[len(old) :])


class _Ticks:
    """A grid in time. Whoever is late waits for the next of its points."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()

    async def next(self) -> None:
        passed = self._loop.time() - self._start
        await asyncio.sleep(TICK_S - passed % TICK_S)


def _now_s() -> float:
    return timezone.now().timestamp()


def _failure_of(*readers: Reader) -> Failure | None:
    for reader in readers:
        if reader.outcome is not None and reader.outcome.state == GenerationState.FAILED:
            code = reader.outcome.error.code if reader.outcome.error else ""
            return Failure.of(side_failure(code))
    return None
