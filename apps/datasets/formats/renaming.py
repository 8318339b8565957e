"""Files that call the fields of a format, or who speaks, by other names: read as if they did not. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = (
    "id", "model", "system", "messages", "conversations", "instruction", "input", "output", "history", "prompt",
    "completion", "chosen", "rejected", "conversation_a", "conversation_b", "model_a", "model_b",
)  # fmt: skip
"""Of a record."""
PARTS = ("role", "content", "from", "value")
"""Of a message."""
SPEAKERS = ("user", "assistant", "system", "tool")

_OF_MESSAGES = frozenset({
    "messages", "conversation", "conversations", "prompt", "completion", "chosen", "rejected", "conversation_a",
    "conversation_b",
})  # fmt: skip

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Names:
    """Pairs of what stands in a file and what is read here for it, for each of `FIELDS`, `PARTS` and `SPEAKERS`."""

    fields: Pairs = ()
    parts: Pairs = ()
    speakers: Pairs = ()

    def as_dict(self) -> dict[str, dict[str, str]]:
        """Without what is not renamed."""
        told = {"map": dict(self.fields + self.parts), "speakers": dict(self.speakers)}
        return {name: pairs for name, pairs in told.items() if pairs}


def names_of_fields(given: Iterable[tuple[str, str]], speakers: Iterable[tuple[str, str]]) -> Names | None:
    """`given`, `speakers`: pairs of a name that is known here and what stands for it in the file. None: of none.

    Raises: ValueError, in words: a name is not known here, or two fields are the same one.
    """
    pairs, said = list(given), list(speakers)
    for known, _ in pairs:
        if known not in FIELDS + PARTS:
            raise ValueError(f"{known!r} is no field that is read here: {', '.join(FIELDS + PARTS)}")
    for known, _ in said:
        if known not in SPEAKERS:
            raise ValueError(f"{known!r} is nobody who speaks here: {', '.join(SPEAKERS)}")
    for place in (FIELDS, PARTS):
        here = [pair for pair in pairs if pair[0] in place]
        if len({known for known, _ in here}) < len(here) or len({found for _, found in here}) < len(here):
            raise ValueError("each field has one name in the file, and each name of the file is for one field")
    if len({found for _, found in said}) < len(said):
        raise ValueError("each name in the file is for one speaker")
    if not pairs and not said:
        return None
    turned = [(found, known) for known, found in pairs]
    return Names(
        tuple(pair for pair in turned if pair[1] in FIELDS),
        tuple(pair for pair in turned if pair[1] in PARTS),
        tuple((found, known) for known, found in said),
    )


def renamed(value: Any, names: Names) -> Any:
    """A record with the names of the format. A field whose name another one takes is called "original_" and that."""
    if not isinstance(value, Mapping):
        return value
    record = _renamed(value, names.fields)
    if names.parts or names.speakers:
        speakers = dict(names.speakers)
        for name in _OF_MESSAGES & record.keys():
            if isinstance(messages := record[name], list):
                record[name] = [_message(one, names.parts, speakers) for one in messages]
    return record


def _message(message: Any, parts: Pairs, speakers: dict[str, str]) -> Any:
    if not isinstance(message, Mapping):
        return message
    found = _renamed(message, parts)
    for name in ("role", "from"):
        if isinstance(speaker := found.get(name), str):
            found[name] = speakers.get(speaker, speaker)
    return found


def _renamed(value: Mapping[str, Any], pairs: Pairs) -> dict[str, Any]:
    known = {found: name for found, name in pairs if found in value}
    taken = set(known.values())
    record: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, field in value.items():
        if name in known:
            record[known[name]] = field
        elif name in taken:
            others[name] = field
        else:
            record[name] = field
    for name, field in others.items():
        while name in record:
            name = f"original_{name}"  # noqa: PLW2901  # until it is free
        record[name] = field
    return record
