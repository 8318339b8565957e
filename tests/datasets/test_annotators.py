"""Steps that ask a model in a child process: decontamination by vectors of texts, and names of people."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.annotators import model_files
from apps.datasets.children import children_close
from apps.datasets.chunks import FromChunk, Task, task_run
from apps.datasets.errors import RecipeWrong
from apps.datasets.records import Record, dumped
from apps.datasets.shared.pool import shared_pool
from apps.datasets.shared.wire import Work, work_read, work_write
from apps.datasets.steps import decontaminate, personal
from apps.datasets.steps.base import MapStep, OptionWrong
from apps.datasets.steps.decontaminate import Decontaminate
from apps.datasets.steps.personal import PersonalData
from gpu_worker.annotation.names import names_of
from tests.datasets.support import Notes, applied, bytes_of, clean, reason, recipe, records, sharegpt, talk, written
from tests.datasets.test_shared import Jobs
from tests.datasets.test_step_properties import accounted, rows_of
from tests.datasets.tiny_annotators import NAMES, WINDOW, make_name_finder, make_word_embedder
from tests.live import START_LIMIT_S, wait_until

QUESTION = "how many sheep does the old shepherd count before the sun goes down today"
SHUFFLED = "before today goes down the sun how many sheep does count the old shepherd"
OTHER = "Which tea would you drink on a cold morning with a friend from far away"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    words = f"{QUESTION} {SHUFFLED} {OTHER}".split()
    yield str(make_word_embedder(tmp_path_factory.mktemp("embedder"), words))
    children_close()


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield str(make_name_finder(tmp_path_factory.mktemp("finder")))
    children_close()


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = [{"question": "Too short"}, {"question": QUESTION}]
    return str(written(tmp_path_factory.mktemp("benchmark") / "b.jsonl", rows))


@pytest.fixture
def by_vectors(embedder: str, benchmark: str) -> Decontaminate:
    return Decontaminate(benchmarks={"sheep": benchmark}, embedder=embedder)


# --- Decontamination --------------------------------------------------------------------------------------------------


def test_a_question_in_other_words_order_is_found_by_its_vector_alone(
    by_vectors: Decontaminate, benchmark: str
) -> None:
    record = talk("ua", SHUFFLED, "Nine.")
    assert applied(Decontaminate(benchmarks={"sheep": benchmark}), record) is record
    found = applied(by_vectors, record)
    assert reason(found) == "like benchmark sheep"
    assert found.detail.startswith("record 1, cosine 1.00: ")
    assert QUESTION[:40] in found.detail


def test_what_is_like_nothing_or_too_short_to_tell_stays(by_vectors: Decontaminate) -> None:
    for record in (talk("ua", OTHER, "Black tea."), talk("ua", "How many sheep?", "Nine.")):
        assert applied(by_vectors, record) is record


def test_the_words_themselves_are_told_first(by_vectors: Decontaminate) -> None:
    assert reason(applied(by_vectors, talk("ua", QUESTION, "Nine."))) == "in benchmark sheep"


def test_a_question_at_the_end_of_a_long_message_is_found(by_vectors: Decontaminate) -> None:
    long = " ".join([OTHER.split()[0]] * (2 * WINDOW) + SHUFFLED.split())
    assert reason(applied(by_vectors, talk("ua", long, "Nine."))) == "like benchmark sheep"


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("My name is Alice, and this is Bob.", "My name is [NAME], and this is [NAME]."),
        ("Ada Lovelace wrote it. Ask Ada-Lovelace!", "[NAME] wrote it. Ask [NAME]!"),
        ("Mail Alice Bob@example.org, or bob@example.org", "Mail [NAME] [EMAIL], or [EMAIL]"),
        ("Nobody is here: malice, Alicex, bob", "Nobody is here: malice, Alicex, bob"),
        (f"{'word ' * 90}Ada Lovelace {'word ' * WINDOW}", f"{'word ' * 90}[NAME] {'word ' * WINDOW}"),
    ],
)  # fmt: skip
def test_names_of_people_are_taken_out(finder: str, text: str, left: str) -> None:
    record = talk("ua", text, "Yes.")
    kept = PersonalData(names=finder).apply(record, notes := Notes())
    assert isinstance(kept, Record)
    assert kept.messages[0].content == left
    assert notes["name taken out"] == left.count("[NAME]")
    assert kept.steps == (["personal_data"] if left != text else [])


@pytest.mark.parametrize("n_before", range(WINDOW + 2))
def test_a_name_at_any_place_of_a_long_text_is_found_whole(finder: str, n_before: int) -> None:
    record = applied(PersonalData(names=finder), talk("u", "x " * n_before + "Ada Lovelace" + " y" * 2 * WINDOW))
    assert record.messages[0].content == "x " * n_before + "[NAME]" + " y" * 2 * WINDOW


def test_names_stand_in_calls_and_fields_too_and_may_drop_the_row(finder: str) -> None:
    record = talk("ua", "Who?", "", fields={"by": "Bob", "n": 7, "Alice": ["Ada Lovelace"]})
    record.messages[1].extra = {"tool_calls": [{"arguments": json.dumps({"of": "Alice"})}]}
    kept = applied(PersonalData(names=finder), record)
    assert kept.fields == {"by": "[NAME]", "n": 7, "Alice": ["[NAME]"]}
    assert kept.messages[1].extra == {"tool_calls": [{"arguments": json.dumps({"of": "[NAME]"})}]}
    assert reason(applied(PersonalData(names=finder, drop=True), talk("u", "I am Bob"))) == "personal data"


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda two: (min(two), max(two))), max_size=6)


@given(st.text("aB.- ", max_size=30), spans)
def test_names_are_whole_words_in_order(text: str, tokens: list[tuple[int, int]]) -> None:
    inside = [(min(begin, len(text)), min(end, len(text))) for begin, end in tokens]
    names = names_of(text, inside)
    assert all(end < begin for (_, end), (begin, _) in pairwise(names))
    for begin, end in names:
        assert text[begin].isalnum() and text[end - 1].isalnum()
        assert not text[max(0, begin - 1) : begin].isalnum() and not text[end : end + 1].isalnum()
    for begin, end in inside:
        letters = [place for place in range(begin, end) if text[place].isalnum()]
        assert all(any(first <= place < last for first, last in names) for place in letters)


def test_a_model_s_folder_is_walked_through_once(
    finder: str, by_vectors: Decontaminate, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[str] = []

    def files_of(folder: str) -> tuple[Path, ...]:
        walked.append(folder)
        return model_files(folder)

    for module in (personal, decontaminate):
        monkeypatch.setattr(module, "model_files", files_of)
    by_names = PersonalData(names=finder)
    for _ in range(3):
        assert applied(by_names, talk("u", "I am Bob")).messages[0].content == "I am [NAME]"
        assert reason(applied(by_vectors, talk("u", SHUFFLED))) == "like benchmark sheep"
    assert walked == [finder, by_vectors.embedder]


# --- Both -------------------------------------------------------------------------------------------------------------

said = st.lists(st.sampled_from([SHUFFLED, OTHER, *NAMES, "a@b.org", "x"]), min_size=1, max_size=3).map(" ".join)
asked = st.lists(said, min_size=1, max_size=4).map(lambda texts: talk("u" * len(texts), *texts))


@settings(max_examples=25, deadline=None)
@given(found=st.lists(records | asked, max_size=6))
def test_no_row_is_unaccounted_for_and_another_machine_makes_the_same(
    tmp_path_factory: pytest.TempPathFactory, embedder: str, benchmark: str, finder: str, found: list[Record]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "before.rows").write_bytes(b"".join(dumped(record) + b"\n" for record in found))
    steps: list[MapStep] = [
        PersonalData(names=finder),
        Decontaminate(benchmarks={"sheep": benchmark}, embedder=embedder),
    ]
    task = Task(FromChunk(folder / "before.rows", frozenset()), tuple(steps), (), folder / "after.rows")
    result = task_run(task)
    assert all(accounted(report) for report in result.reports)
    assert result.n_rows == result.reports[-1].n_out == len(rows_of(result.path))
    before = result.path.read_bytes()
    work_write(Work(task, "code"), folder / "work.json")
    told = work_read(folder / "work.json").task
    assert isinstance(told, Task)
    assert task_run(told).reports == result.reports
    assert result.path.read_bytes() == before


def test_folders_that_are_no_models_are_refused(tmp_path: Path, benchmark: str, embedder: str) -> None:
    with pytest.raises(OptionWrong, match=r"embedder: .* is no model folder with a config.json"):
        Decontaminate(benchmarks={"sheep": benchmark}, embedder=str(tmp_path))
    with pytest.raises(OptionWrong, match=r"names: .* is no model folder with a config.json"):
        PersonalData(names=str(tmp_path))
    with pytest.raises(OptionWrong, match="similarity: above 0"):
        Decontaminate(benchmarks={"sheep": benchmark}, embedder=embedder, similarity=0)
    with pytest.raises(RecipeWrong, match=r"no model that puts tokens into classes \(ForTokenClassification\)"):
        applied(PersonalData(names=embedder), talk("u", "I am Bob"))
    other = str(make_name_finder(tmp_path / "other", labels=("O", "B-LOC", "I-LOC")))
    with pytest.raises(RecipeWrong, match="none of its labels stands for names of people: O, B-LOC, I-LOC"):
        applied(PersonalData(names=other), talk("u", "I am Bob"))
    (tmp_path / "config.json").write_text((Path(embedder) / "config.json").read_text())
    with pytest.raises(RecipeWrong, match="the folder has no weights"):
        applied(Decontaminate(benchmarks={"sheep": benchmark}, embedder=str(tmp_path)), talk("u", OTHER))


@pytest.mark.django_db(transaction=True)
def test_the_same_bytes_come_out_of_any_number_of_processes_and_of_jobs(
    tmp_path: Path, by_vectors: Decontaminate, finder: str
) -> None:
    asked = (SHUFFLED, OTHER, "Tea, Alice?")
    rows = [sharegpt(f"c{n}", asked[n % 3], "Yes.", f"{OTHER} {n}", "No.") for n in range(600)]
    path = written(tmp_path / "dump.jsonl", rows)
    compared = {"decontaminate": {"benchmarks": by_vectors.benchmarks, "embedder": by_vectors.embedder}}
    used = recipe({"personal_data": {"names": finder}}, compared)
    jobs = Jobs(tmp_path)
    try:
        jobs.start()
        made = [clean(tmp_path, path, recipe=used, n_workers=n, name=f"out-{n}") for n in (1, 2)]
        wait_until(jobs.are_ready, what="a worker", limit_s=START_LIMIT_S)
        clean(tmp_path, path, recipe=used, name="by-jobs", pool_of=shared_pool)
    finally:
        jobs.stop()
    assert bytes_of(tmp_path / "out-1") == bytes_of(tmp_path / "out-2") == bytes_of(tmp_path / "by-jobs")
    _, names, questions = made[0].common
    assert names.notes == {"name taken out": 200}
    assert questions.dropped == {"like benchmark sheep": 200}
    assert (questions.n_in, questions.n_out) == (600, 400)
