"""Conversations that are dropped for what users ask: too little to learn from, or the same as everybody."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import ChoiceStep, Dropped, Key, MapStep, OptionWrong, Outcome, step
from apps.datasets.steps.duplicates import digest_of


@step
@dataclass(frozen=True)
class ShortQuestions(MapStep):
    """Drop conversations of at most `max_messages` messages in which each question has fewer than `min_chars`
    characters, without blanks around it. Messages to the system are not counted.

    Source: FastChat, monitor/dataset_release_scripts/arena_33k/filter_bad_conv.py.
    """

    name = "short_questions"
    min_chars: int = 16
    max_messages: int = 2

    def __post_init__(self) -> None:
        if self.min_chars < 1 or self.max_messages < 1:
            raise OptionWrong("min_chars, max_messages: at least 1")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        n_messages = sum(message.role != Role.SYSTEM for message in record.all_messages())
        if n_messages <= self.max_messages and all(len(q.strip()) < self.min_chars for q in record.said_by(Role.USER)):
            return Dropped("questions are short", next(record.said_by(Role.USER), "")[: self.min_chars])
        return record


@step
@dataclass(frozen=True)
class FrequentQuestions(ChoiceStep):
    """Drop conversations of which each question is one of the `n` that most conversations ask, or empty. Case and
    blanks around it make no difference; a question counts once for each record of the source, so that a battle
    asks once, and one that is asked once is not frequent.

    Takes some 100 bytes of memory for each question. Source: as for `ShortQuestions`.
    """

    name = "frequent_questions"
    n: int = 10

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionWrong("n: at least 1")

    def key(self, record: Record) -> Key:
        said = {question.strip().casefold() for question in record.said_by(Role.USER)}
        questions = sorted(digest_of(question) for question in said if question)
        return [digest_of(*map(str, record.source)), questions]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        here = list(keys)
        counts = Counter(question for _, question in {(of, q) for of, questions in here for q in questions})
        most = nsmallest(self.n, (item for item in counts.items() if item[1] > 1), key=lambda one: (-one[1], one[0]))
        frequent = {question for question, _ in most}
        for _, questions in here:
            yield "nothing is asked but frequent questions" if frequent.issuperset(questions) else None
