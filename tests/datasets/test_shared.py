"""A recipe over Celery workers: the same bytes as in one process, also when a worker is killed in the middle."""

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.core.json_stream import Broken
from apps.datasets.chunks import FromChunk, FromFile, Rendered, RenderTask, Task, task_run
from apps.datasets.cleaning import Cleaned, code_hash, recipe_run
from apps.datasets.errors import ChunkFailed, RecordRefused, WorkerLost
from apps.datasets.formats.files import Raw
from apps.datasets.formats.shapes import Shape
from apps.datasets.formats.writing import Form, Written
from apps.datasets.models import ChunkState, SharedChunk
from apps.datasets.run import CHUNK_ROWS, Options, inputs_of
from apps.datasets.services.shared import RESEND_S, TRIES_MAX, chunk_add, chunk_claim, chunk_ending, chunks_lost
from apps.datasets.shared.pool import SharedPool, shared_pool
from apps.datasets.shared.runner import chunk_run
from apps.datasets.shared.wire import Work, counts_path, rendered_store, result_of, work_read, work_write
from apps.datasets.steps.duplicates import UniqueIds
from apps.datasets.steps.identity import Identity
from apps.datasets.steps.moderation import ModerationTags
from apps.datasets.steps.turns import TakeTurns
from apps.moderation import selectors
from apps.moderation.errors import NothingSetUp
from tests.conftest import DEMO_BASE
from tests.datasets.site import agree, chat, clean_site
from tests.datasets.support import recipe, sharegpt, written
from tests.live import ROOT, START_LIMIT_S, Process, start_process, wait_until

RECIPE = ROOT / "configs" / "recipes" / "prepare_all.yaml"
USED = recipe(
    "trim_turns", "html_to_markdown", {"split_long": {"tokenizer": str(DEMO_BASE), "max_tokens": 200}},
    "unique_openings", {"part": {"test_share": 0.1}}, "near_duplicates",
    outputs={"all": {"steps": [{"identity": {"model_name": "Owl", "maker": "The Wood"}}]},
             "few": {"from": "all", "steps": ["single_round", {"sample": {"n": 50}}]}},
)  # fmt: skip


def dump(folder: Path, n_chunks: int) -> Path:
    rows = []
    for number in range(n_chunks * CHUNK_ROWS - 7):
        answer = f"<p>{f'the answer to <b>{number}</b> is <code>{number * 7}</code> and not less ' * 20}</p>"
        rows.append(sharegpt(f"c{number}", f"<p>question number {number % 900}</p>", answer, "And?", answer))
    return written(folder / "dump.jsonl", [*rows, {"broken": "record"}])


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Jobs:
    """Celery workers that take the jobs of data from the broker of the test run, and work on the test's database."""

    def __init__(self, logs: Path) -> None:
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        self._env = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test"}
        self._logs = logs
        self.processes: list[Process] = []

    def start(self) -> Process:
        name = f"data{len(self.processes)}"
        command = ["-m", "celery", "-A", "fastchat_site.celery:app", "worker", "-Q", "data", "--pool", "solo"]
        command += ["--hostname", f"{name}@test", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        self.processes.append(start_process(command, env=self._env, log=self._logs / f"{name}.log"))
        return self.processes[-1]

    def are_ready(self) -> bool:
        return all(" ready." in process.log.read_text() for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()


@pytest.fixture
def jobs(tmp_path: Path, transactional_db: None) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.stop()


def clean(path: Path, output: Path, used: Any = USED, **more: Any) -> Cleaned:
    return recipe_run(used, inputs_of([path], Shape.SHAREGPT), output, Options(**more.pop("options", {})), **more)


def test_a_worker_is_killed_in_the_middle_and_the_bytes_are_those_of_one_process(tmp_path: Path, jobs: Jobs) -> None:
    path = dump(tmp_path, 5)
    doomed, other = jobs.start(), jobs.start()
    alone = clean(path, tmp_path / "alone")
    wait_until(jobs.are_ready, what="two workers", limit_s=START_LIMIT_S)
    killed_at: list[str] = []

    def kill_in_the_middle(what: str, done: int, n_all: int) -> None:
        """Frozen first, so that it is sure to have a chunk when it dies."""
        if killed_at:
            return
        mine = SharedChunk.objects.filter(state=ChunkState.RUNNING, worker__endswith=f":{doomed.pid}")
        doomed.popen.send_signal(signal.SIGSTOP)
        killed_at.extend(mine.values_list("path", flat=True))
        doomed.popen.send_signal(signal.SIGKILL if killed_at else signal.SIGCONT)

    shared = clean(path, tmp_path / "shared", pool_of=shared_pool, progress=kill_in_the_middle)
    assert len(killed_at) == 1
    other.assert_alive()
    assert bytes_of(tmp_path / "shared") == bytes_of(tmp_path / "alone")
    assert [one.as_dict() for one in shared.common] == [one.as_dict() for one in alone.common]
    assert not SharedChunk.objects.exists()
    assert not (tmp_path / "shared.unfinished").exists()
    command = ["clean", str(RECIPE), "--input", str(path), "--set", f"tokenizer={DEMO_BASE}", "--output"]
    call_command(*command, str(tmp_path / "by-jobs"), "--celery", stdout=StringIO())
    call_command(*command, str(tmp_path / "by-itself"), "--workers", "1", stdout=StringIO())
    assert bytes_of(tmp_path / "by-jobs") == bytes_of(tmp_path / "by-itself")


def test_processes_are_not_counted_where_jobs_do_the_work(tmp_path: Path) -> None:
    told = ["clean", str(RECIPE), "--input", str(tmp_path / "dump"), "--celery"]
    for more in (["--output", str(tmp_path / "out"), "--workers", "2"], ["--dry-run", "5"]):
        with pytest.raises(CommandError, match="--celery"):
            call_command(*told, *more)


# --- Chunks as rows ---------------------------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path) -> Task:
    row = Raw(0, 1, sharegpt("1", "Hi", "Ho"), 10)
    return Task(FromFile(0, "f", Shape.SHAREGPT, [row], False), (TakeTurns(),), (UniqueIds(),), tmp_path / "1.rows")


def added(task: Task, code: str = "") -> int:
    path = task.path.with_suffix(".work")
    work_write(Work(task, code or code_hash()), path)
    return chunk_add(str(path.parent), str(path))


@pytest.mark.django_db(transaction=True)
def test_a_chunk_is_done_once_however_many_messages_there_are(task: Task) -> None:
    pk = added(task)
    chunk_run(pk)
    first = task.path.stat().st_mtime_ns
    chunk_run(pk)
    chunk = SharedChunk.objects.get(pk=pk)
    assert (chunk.state, chunk.n_tries, task.path.stat().st_mtime_ns) == (ChunkState.DONE, 1, first)
    result = result_of(task)
    assert result is not None
    assert sorted(path.suffix for path in task.path.parent.iterdir()) == [".result", ".rows", ".work"]


@pytest.mark.django_db
def test_a_chunk_has_one_worker_until_its_lease_ends(task: Task) -> None:
    pk = added(task)
    assert chunk_claim(pk, uuid4(), "a:1") is not None
    assert chunk_claim(pk, uuid4(), "b:2") is None
    assert chunks_lost(str(task.path.parent)) == []
    SharedChunk.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    SharedChunk.objects.update(sent_at=timezone.now() - timedelta(seconds=5))
    assert chunks_lost(str(task.path.parent)) == [pk]
    assert chunks_lost(str(task.path.parent)) == [], "it was sent again a moment ago"
    taken = chunk_claim(pk, uuid4(), "b:2")
    assert taken is not None
    assert (taken.worker, taken.n_tries) == ("b:2", 2)


@pytest.mark.django_db
def test_a_chunk_that_nobody_takes_up_is_sent_again(task: Task) -> None:
    pk = added(task)
    assert chunks_lost(str(task.path.parent)) == []
    SharedChunk.objects.update(sent_at=timezone.now() - timedelta(seconds=RESEND_S + 1))
    assert chunks_lost(str(task.path.parent)) == [pk]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lost_its_chunk_leaves_nothing_behind(task: Task) -> None:
    pk = added(task)
    runner = uuid4()
    chunk_claim(pk, runner, "a:1")
    with chunk_ending(pk, runner) as is_mine:
        assert is_mine
    with chunk_ending(pk, runner) as is_mine:
        assert not is_mine


class KilledHere(Exception):
    """Where a run is killed."""


class KilledPool(SharedPool):
    """Of a run that is killed when it has sent its chunks: nobody forgets them."""

    def _publish(self, pk: int) -> None:
        """No message: the test does the chunk itself."""

    def look_after_chunks(self) -> None:
        raise KilledHere


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_late_puts_nothing_into_the_folder_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read what is to be done, and is still at its steps, when a run of another recipe replaces the first."""
    path, other = dump(tmp_path, 2), recipe("single_round")

    def killed_at_its_second_chunk(what: str, done: int, n_all: int) -> None:
        if done == 2:
            raise KilledHere

    def slow(work: Path) -> Work:
        read = work_read(work)
        with pytest.raises(KilledHere):
            clean(path, tmp_path / "out", other, overwrite=True, progress=killed_at_its_second_chunk)
        return read

    with pytest.raises(KilledHere):
        clean(path, tmp_path / "out", recipe(), pool_of=lambda folder: nullcontext(KilledPool(folder)))
    monkeypatch.setattr("apps.datasets.shared.runner.work_read", slow)
    late = SharedChunk.objects.earliest("pk")
    chunk_run(late.pk)
    late.refresh_from_db()
    assert late.state == ChunkState.FAILED
    clean(path, tmp_path / "out", other)
    clean(path, tmp_path / "alone", other)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "alone")


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_refuses_ends_the_run_in_the_same_words(task: Task) -> None:
    wrong = Raw(4, 5, {"conversations": "none"}, 10)
    refused = replace(task, source=FromFile(0, "f", Shape.SHAREGPT, [wrong], True))
    with shared_pool(task.path.parent) as pool:
        chunk_run(added(refused))
        with pytest.raises(RecordRefused) as shared:
            pool.look_after_chunks()
    with pytest.raises(RecordRefused) as alone:
        task_run(refused)
    assert shared.value.message == alone.value.message


@pytest.mark.django_db(transaction=True)
def test_what_another_part_of_the_site_refuses_is_told_in_its_words(task: Task) -> None:
    selectors.forget()
    with shared_pool(task.path.parent) as pool:
        chunk_run(added(replace(task, maps=(ModerationTags(),))))
        with pytest.raises(ChunkFailed) as told:
            pool.look_after_chunks()
    assert NothingSetUp().message in told.value.message


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_full_is_told_as_one(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/shared")

    monkeypatch.setattr("apps.datasets.shared.runner.result_store", full)
    with shared_pool(task.path.parent) as pool:
        chunk_run(added(task))
        with pytest.raises(OSError, match="No space left") as told:
            pool.look_after_chunks()
    assert told.value.errno == errno.ENOSPC
    assert [path.suffix for path in task.path.parent.iterdir()] == [".work"], "nothing of it stays"


@pytest.mark.django_db(transaction=True)
def test_a_chunk_that_ends_every_worker_is_given_up(task: Task) -> None:
    with shared_pool(task.path.parent) as pool:
        pk = added(task)
        SharedChunk.objects.update(
            state=ChunkState.RUNNING, n_tries=TRIES_MAX, lease_expires_at=timezone.now() - timedelta(seconds=1)
        )
        assert chunk_claim(pk, uuid4(), "a:1") is None
        with pytest.raises(WorkerLost):
            pool.look_after_chunks()


@pytest.mark.django_db(transaction=True)
def test_a_worker_of_another_version_says_so_instead_of_making_other_bytes(task: Task) -> None:
    with shared_pool(task.path.parent) as pool:
        chunk_run(added(task, code="of yesterday"))
        assert not task.path.exists()
        with pytest.raises(ChunkFailed, match="another version"):
            pool.look_after_chunks()


# --- As files ---------------------------------------------------------------------------------------------------------


words = st.text(max_size=5)
values = st.none() | st.integers() | words | st.dictionaries(words, st.lists(words, max_size=2), max_size=2)


@given(st.lists(st.tuples(values | st.builds(Broken, words), st.integers(0, 9)), max_size=3))
def test_a_task_is_the_same_after_it_was_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "task.work"
    raws = [Raw(number, line, value, 3) for number, (value, line) in enumerate(rows)]
    steps = ((TakeTurns(merge=True),), (UniqueIds(),))
    for task in (
        Task(FromFile(1, "f", Shape.MESSAGES, raws, True), *steps, Path("/a/1.rows")),
        Task(FromChunk(Path("/a/0.rows"), frozenset({3, 1})), *steps, Path("/a/1.rows")),
        Task(Identity(model_name="Owl", maker="Wood"), *steps, Path("/a/1.rows")),
        RenderTask(FromChunk(Path("/a/0.rows"), frozenset()), Form.SHAREGPT, ("f",), Path("/a/1.lines")),
    ):
        work_write(Work(task, "c"), path)
        assert work_read(path) == Work(task, "c")


def test_bytes_that_are_no_text_come_through(tmp_path: Path) -> None:
    row = Raw(0, 1, "\ud83d\udc80 \udcff", 3)
    work = Work(Task(FromFile(1, "f", Shape.MESSAGES, [row], True), (), (), Path("/a")), "")
    work_write(work, tmp_path / "w")
    assert work_read(tmp_path / "w") == work


def test_counts_of_rendered_rows_come_through(tmp_path: Path) -> None:
    counts = Written(3, 4, 5, Counter({500: 2, 0: 1}), Counter(en=3), Counter())
    task = RenderTask(FromChunk(tmp_path, frozenset()), Form.MESSAGES, (), tmp_path / "1.lines")
    assert result_of(task) is None
    rendered_store(Rendered(task.path, counts), counts_path(task.path))
    assert result_of(task) == Rendered(task.path, counts)


def test_chats_of_the_site_give_the_same_bytes_by_jobs(tmp_path: Path, jobs: Jobs, alices: Actor) -> None:
    agree(alices)
    for n in range(5):
        chat(alices, f"Question <b>{n}</b>?", f"<p>Answer {n}</p>")
    jobs.start()
    clean_site(tmp_path, name="alone")
    wait_until(jobs.are_ready, what="a worker", limit_s=START_LIMIT_S)
    clean_site(tmp_path, "--celery", name="by-jobs", dataset="by-jobs")
    assert bytes_of(tmp_path / "by-jobs") == bytes_of(tmp_path / "alone")
    assert not (tmp_path / "by-jobs.site").exists()
