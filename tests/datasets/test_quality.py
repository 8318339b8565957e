"""What is wrong with an answer is named by rule, and what a benchmark asks is found however it is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.records import Record
from apps.datasets.steps.base import OptionWrong
from apps.datasets.steps.decontaminate import Decontaminate
from apps.datasets.steps.quality import RULES, Quality, faults_of
from apps.datasets.wording import words_of
from tests.datasets.support import BENCHMARK, Notes, applied, reason, talk

SHEEP = "A farmer has seventeen sheep and all but nine of them run away over the hill. How many are left?"
GOOD = [
    "Paris is the capital of France.",
    "To sort a list, call `sorted`:\n\n```python\nx = sorted([3, 1, 2])\n```\n\nIt gives a new list.",
    "- wash the potatoes\n- cut them in halves\n- put them on a tray\n\nThen bake them for an hour.",
    "法国的首都是巴黎，它也是法国最大的城市。",
    "Столица Франции называется Париж, и это её крупнейший город.",
    "| name | n |\n| --- | --- |\n| apples | 3 |\n| pears | 4 |\n\nThat makes seven in all.",
    "The area is $$A = \\pi r^2$$",
]
BAD = [
    ("no text", "..."),
    ("few words", "Yes."),
    ("odd word length", "aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNl NjQgdGV4dCB0aGF0IG5vYm9keSBjYW4gcmVhZA I said so"),
    ("few letters", "1 2 3 4 5 6 7 8 9 and so on"),
    ("many symbols", "# # # # a heading of nothing"),
    ("ellipses", "Well...\nI think...\nMaybe it is so."),
    ("only bullets", "- one thing\n- two things\n- three things\n- four things"),
    ("same lines", "It is so.\nIt is so.\nIt is so.\nIt is so.\nIt is not."),
    ("open code", "Call it like this:\n\n```python\nx = sorted([3, 1, 2])"),
    (
        "breaks off",
        "The reasons are many, and among them the first is that " + "it goes on and on " * 4 + "and then the",
    ),
]


@pytest.mark.parametrize("answer", GOOD)
def test_an_answer_that_is_well_written_breaks_no_rule(answer: str) -> None:
    assert faults_of(answer) == []


@pytest.mark.parametrize(("fault", "answer"), BAD, ids=[fault for fault, _ in BAD])
def test_each_rule_names_what_is_wrong(fault: str, answer: str) -> None:
    assert fault in faults_of(answer)


def test_every_rule_has_an_answer_that_breaks_it() -> None:
    assert {fault for fault, _ in BAD} == set(RULES)


def test_the_score_is_that_of_the_worst_answer_and_conversations_under_the_least_are_dropped() -> None:
    said = ("Hi", GOOD[0], "And?", "Yes.", "So?", "...")
    record = applied(Quality(), talk("uauaua", *said))
    broken = max(len(faults_of(answer)) for answer in said[1::2])
    assert record.fields["quality"] == 1 - broken / len(RULES)
    assert record.fields["quality_faults"] == [name for name in RULES if name in {"no text", "few words", "ellipses"}]
    assert reason(applied(Quality(least=0.9), talk("uauaua", *said))) == "quality under 0.9"
    assert applied(Quality(least=0.9), talk("ua", "Hi", GOOD[0])).fields["quality"] == 1


@given(st.text(max_size=200))
def test_any_answer_has_a_score_from_0_to_1(answer: str) -> None:
    assert 0 <= applied(Quality(), talk("ua", "Hi", answer)).fields["quality"] <= 1


# --- Benchmarks -------------------------------------------------------------------------------------------------------


def of(**options: object) -> Decontaminate:
    return Decontaminate(benchmarks={"sheep": str(BENCHMARK)}, **options)  # type: ignore[arg-type]  # the test's own


@pytest.mark.parametrize(
    "said",
    [
        SHEEP,
        f"Please solve this: {SHEEP.upper()}  Thank you!",
        SHEEP.replace(" ", "\n").replace(".", " --"),
        "Answer: a farmer has seventeen sheep and all but nine of them run away, they say",
        "What is the sum of the first hundred odd numbers? Think step by step.",
        "请问一个农夫有十七只羊除了九只以外都跑了还剩几只羊",
    ],
)
def test_a_conversation_with_a_question_of_a_benchmark_is_dropped(said: str) -> None:
    assert reason(applied(of(), talk("ua", said, "Nine."))) == "in benchmark sheep"
    assert reason(applied(of(), talk("uaua", "Hi", "Ho", "Ask me.", said))) == "in benchmark sheep"


@pytest.mark.parametrize(
    "said",
    [
        "A farmer has seventeen cows and all but nine of them run away over the road. How many stay?",
        "What is the sum of the first hundred even numbers?",
        "一个农夫有十七只鸡，除了八只以外都卖了，还有几只鸡？",
        "",
    ],
)
def test_one_that_only_sounds_like_it_stays(said: str) -> None:
    assert isinstance(applied(of(), talk("ua", said, "Nine.")), Record)


def test_the_example_names_the_record_of_the_benchmark_and_its_words() -> None:
    outcome = applied(of(), talk("ua", SHEEP, "Nine."))
    assert outcome.detail == "record 0: a farmer has seventeen sheep and all but nine of them run away"


def test_only_the_fields_named_are_questions(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps([{"question": SHEEP, "note": "these words are the same in each of the records here"}]))
    noted = talk("ua", "These words are the same in each of the records here, I think.", "Yes")
    assert reason(applied(Decontaminate(benchmarks={"b": str(path)}), noted)) == "in benchmark b"
    assert isinstance(applied(Decontaminate(benchmarks={"b": str(path)}, fields=["question"]), noted), Record)


def test_a_benchmark_that_changed_is_read_again_and_one_that_is_broken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(json.dumps({"q": SHEEP}))
    step = Decontaminate(benchmarks={"b": str(path)})
    assert reason(applied(step, talk("ua", SHEEP, "x"))) == "in benchmark b"
    path.write_text(json.dumps({"q": "Another question altogether, which nobody has asked before now."}))
    assert isinstance(applied(step, talk("ua", SHEEP, "x")), Record)
    path.write_text("{broken")
    with pytest.raises(OptionWrong, match="line 1"):
        Decontaminate(benchmarks={"b": str(path)})


@given(st.lists(st.sampled_from("abc"), min_size=8, max_size=30), st.integers(0, 30), st.integers(8, 13))
def test_a_run_of_words_is_found_exactly_where_it_is(words: list[str], at: int, n_words: int) -> None:
    step = of(n_words=n_words)
    asked = words_of(SHEEP)
    run = asked[at : at + n_words]
    found = applied(step, talk("ua", " ".join([*words, *run, *words]), "x"))
    assert isinstance(found, Record) is (len(run) < n_words)


def test_notes_count_what_is_wrong_with_answers_that_stay() -> None:
    Quality().apply(talk("ua", "Hi", "Yes."), notes := Notes())
    assert notes == {"answer with: few words": 1}
