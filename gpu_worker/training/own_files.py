"""Conversations of one's own, read from files of JSON lines as `manage.py clean` writes them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_worker.training.curriculum.turns import Message
from gpu_worker.training.tokenizer import ROLES

_CALLS = ("tool_calls", "function_call")


class DataUnfit(ValueError):
    """A line that cannot be trained on: which, and why."""

    code = "training.data_unfit"


def conversations_in(files: Sequence[str]) -> Iterator[list[Message]]:
    """One for each line, in order. Raises: DataUnfit, OSError."""
    for name in files:
        n_found = 0
        with Path(name).open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    n_found += 1
                    yield _conversation(line, f"{name}, line {number}")
        if not n_found:
            raise DataUnfit(f"{name}: there is no conversation in it")


def hashes_of(files: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each, which the report of `manage.py clean` and a version of a dataset name too."""
    found = {}
    for name in files:
        with Path(name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _conversation(line: bytes, where: str) -> list[Message]:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise DataUnfit(f"{where}: this is no JSON; manage.py clean makes JSON lines of other formats") from exc
    rows = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataUnfit(f"{where}: there are no `messages`; manage.py clean makes them of other formats")
    return [_message(row, f"{where}, message {number}") for number, row in enumerate(rows)]


def _message(row: object, where: str) -> Message:
    role, content = (row.get("role"), row.get("content")) if isinstance(row, dict) else (None, None)
    if not isinstance(role, str) or role not in ROLES:
        raise DataUnfit(f"{where}: the role is {role!r}, and only {', '.join(ROLES)} can be trained on")
    if not isinstance(content, str) or (isinstance(row, dict) and any(row.get(name) for name in _CALLS)):
        raise DataUnfit(f"{where}: only texts can be trained on, no calls of tools and no images")
    try:
        content.encode()
    except UnicodeEncodeError as exc:
        raise DataUnfit(f"{where}: it has half a character in it; manage.py clean mends that") from exc
    return {"role": role, "content": content}
