"""Who speaks when: conversations begin with a question, end with an answer, and take turns."""

from collections import Counter
from dataclasses import dataclass

from apps.datasets.records import Message, Record, Role
from apps.datasets.steps.base import Dropped, MapStep, Outcome, step


@step
@dataclass(frozen=True)
class TrimTurns(MapStep):
    """Take away what comes before the first question and after the last answer; system messages at the head stay.

    A conversation without a question that is answered is dropped.
    """

    name = "trim_turns"

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        system, turns = _parted(record.messages)
        first = next((n for n, turn in enumerate(turns) if turn.role == Role.USER), len(turns))
        last = next((n for n in range(len(turns), 0, -1) if turns[n - 1].role == Role.ASSISTANT), 0)
        if record.chosen is not None:
            last = len(turns)  # the answers are beside it
        if last <= first:
            return Dropped("no question with an answer")
        if first or last < len(turns):
            notes["message before the first question removed"] += first
            notes["message after the last answer removed"] += len(turns) - last
            record.messages = system + turns[first:last]
            record.steps.append(self.name)
        return record


@step
@dataclass(frozen=True)
class TakeTurns(MapStep):
    """Drop conversations in which questions and answers do not alternate, or somebody unknown speaks.

    `merge`: join neighbours of one speaker with an empty line instead of dropping.
    """

    name = "take_turns"
    merge: bool = False

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        known = {str(role) for role in Role}
        for message in record.all_messages():
            if message.role not in known:
                return Dropped("unknown role", message.role[:60])
        if self.merge:
            self._merge(record, notes)
        return record if alternates(record.messages) else Dropped("roles do not alternate")

    def _merge(self, record: Record, notes: "Counter[str]") -> None:
        merged: list[Message] = []
        for message in record.messages:
            before = merged[-1] if merged else None
            if (
                before
                and before.role == message.role in (Role.USER, Role.ASSISTANT)
                and not message.extra | before.extra
            ):
                merged[-1] = Message(before.role, f"{before.content}\n\n{message.content}")
            else:
                merged.append(message)
        if n_joined := len(record.messages) - len(merged):
            notes["message joined with the one before"] += n_joined
            record.messages = merged
            record.steps.append(self.name)


def alternates(messages: list[Message]) -> bool:
    """User and assistant in turn, the user first, with what tools answered in between; system messages at the head."""
    _, turns = _parted(messages)
    expected: set[str] = {Role.USER}
    for turn in turns:
        if turn.role not in expected:
            return False
        match turn.role:
            case Role.USER:
                expected = {Role.ASSISTANT}
            case Role.TOOL:
                expected = {Role.ASSISTANT, Role.TOOL}
            case _:
                expected = {Role.TOOL} if turn.extra.get("tool_calls") else {Role.USER, Role.TOOL}
    return True


@step
@dataclass(frozen=True)
class EmptyMessages(MapStep):
    """End a conversation before its first empty or unprintable message; what is left must end with an answer.

    `drop`: drop the whole conversation instead.
    """

    name = "empty_messages"
    drop: bool = False

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        if any(is_empty(message) for message in (*(record.chosen or ()), *(record.rejected or ()))):
            return Dropped("an answer is empty")
        at = next((n for n, message in enumerate(record.messages) if is_empty(message)), None)
        if at is None:
            return record
        if self.drop or record.chosen is not None:
            return Dropped("a message is empty")
        while at and record.messages[at - 1].role != Role.ASSISTANT:
            at -= 1
        if not at:
            return Dropped("the first answer is empty")
        notes["cut before an empty message"] += 1
        notes["message removed by the cut"] += len(record.messages) - at
        record.messages = record.messages[:at]
        record.steps.append(self.name)
        return record


def is_empty(message: Message) -> bool:
    """Nothing that can be seen, and no call of a tool either."""
    return not message.has_calls and not any(sign.isprintable() and sign != " " for sign in message.content)


@step
@dataclass(frozen=True)
class SingleRound(MapStep):
    """Keep the first question and its answer, and what stands before them; calls of tools are no answer yet."""

    name = "single_round"

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        end = next((n for n, message in enumerate(record.messages, 1) if _is_answer(message)), 0)
        if record.chosen is not None:
            return record
        if not end:
            return Dropped("no answer")
        if end < len(record.messages):
            notes["message after the first round removed"] += len(record.messages) - end
            record.messages = record.messages[:end]
            record.steps.append(self.name)
        return record


def _is_answer(message: Message) -> bool:
    return message.role == Role.ASSISTANT and not message.has_calls


def _parted(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """The system messages at the head, and the rest."""
    head = next((n for n, message in enumerate(messages) if message.role != Role.SYSTEM), len(messages))
    return messages[:head], messages[head:]
