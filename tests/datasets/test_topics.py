"""A sample by topic: what few ask about is there too."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.records import Record
from apps.datasets.steps.base import OptionWrong
from apps.datasets.steps.topics import TopicSample
from apps.datasets.topics import topics_of
from tests.datasets.support import talk

WORDS = {
    "cooking": "bake bread oven flour butter recipe sauce onion garlic pan",
    "code": "python function loop list variable class error compile string array",
    "travel": "flight hotel train city museum beach ticket passport luggage tour",
}
MANY = {"cooking": 120, "code": 40, "travel": 20}


def asked() -> list[Record]:
    """Of each topic as many as `MANY` says, mixed."""
    chance = random.Random(1)
    found = [
        talk("ua", f"How do I {' '.join(chance.choices(WORDS[topic].split(), k=10))}?", "So.", id=f"{topic}-{n}")
        for topic, n_all in MANY.items()
        for n in range(n_all)
    ]
    chance.shuffle(found)
    return found


def drawn(step: TopicSample, found: list[Record]) -> tuple[Counter[str], Counter[str]]:
    """How many are kept of each topic, and why the others are not."""
    reasons = list(step.choose([step.key(record) for record in found]))
    kept = Counter(record.id.split("-")[0] for record, why in zip(found, reasons, strict=True) if why is None)
    return kept, Counter(why for why in reasons if why is not None)


def test_each_topic_gives_as_many_as_can_be() -> None:
    kept, reasons = drawn(TopicSample(n=60, topics=3), asked())
    assert kept == {"cooking": 20, "code": 20, "travel": 20}
    assert reasons == {"not drawn of topic 1": 100, "not drawn of topic 2": 20}


def test_a_proportional_sample_has_topics_as_all_records_do() -> None:
    kept, _ = drawn(TopicSample(n=18, topics=3, proportional=True), asked())
    assert kept == {"cooking": 12, "code": 4, "travel": 2}


def test_the_same_seed_draws_the_same() -> None:
    found = asked()

    def ids(seed: int) -> list[str]:
        step = TopicSample(n=30, topics=3, seed=seed)
        reasons = step.choose([step.key(record) for record in found])
        return [record.id for record, why in zip(found, reasons, strict=True) if why is None]

    assert ids(1) == ids(1) != ids(2)


@pytest.mark.parametrize("options", [{}, {"n": 5, "topics": 1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionWrong):
        TopicSample(**options)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=25), st.integers(2, 6))
def test_every_text_has_one_topic_and_the_largest_is_the_first(texts: list[list[int]], n_topics: int) -> None:
    found = topics_of([np.array(text, np.uint16) for text in texts], n_topics, 0)
    assert len(found) == len(texts)
    counts = [found.count(topic) for topic in range(max(found, default=-1) + 1)]
    assert all(counts)
    assert counts == sorted(counts, reverse=True)
    assert len(counts) <= n_topics + 1
    for one, topic in zip(texts, found, strict=True):
        assert all(topic == other for text, other in zip(texts, found, strict=True) if text == one)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("ab ", max_size=8), max_size=20), st.integers(1, 30))
def test_as_many_are_kept_as_asked_or_all(questions: list[str], n: int) -> None:
    found = [talk("ua", question, "x", id=f"c-{number}") for number, question in enumerate(questions)]
    kept, reasons = drawn(TopicSample(n=n, topics=3), found)
    assert kept.total() == min(n, len(found))
    assert kept.total() + reasons.total() == len(found)
