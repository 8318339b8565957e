"""Find out what a file is, and read the chats in it. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator

from apps.conversations.errors import ImportRefused
from apps.conversations.exchange import chatgpt, fastchat, openai, ours
from apps.conversations.exchange.drafts import Draft, drafts_collect
from apps.core.texts import strict_json

KNOWN = "this site's own export, ChatGPT's conversations.json, FastChat's logs, or lines of OpenAI messages"
_ZIP = b"PK\x03\x04"


def drafts_read(raw: bytes) -> list[Draft]:
    """Raises: ImportRefused, which says what is wrong with the file."""
    if raw.startswith(_ZIP):
        raise ImportRefused(reason="it is an archive; unpack it and choose conversations.json")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ImportRefused(reason="it is not a text in UTF-8") from exc
    try:
        return drafts_collect(_drafts(text))
    except RecursionError as exc:
        raise ImportRefused(reason="it is nested too deeply") from exc


def _drafts(text: str) -> Iterable[Draft]:
    try:
        whole = strict_json(text)
    except ValueError:
        return _from_lines(text)
    if ours.is_ours(whole):
        return ours.read(whole)
    if chatgpt.is_chatgpt(whole):
        return chatgpt.read(whole)
    # A file of one line is JSON as a whole.
    return _reader_of(whole)(whole if isinstance(whole, list) else [whole])


def _from_lines(text: str) -> Iterable[Draft]:
    first, *_ = list(_lines(text[: text.find("\n") + 1] or text)) or [None]
    return _reader_of(first)(_lines(text))


def _reader_of(line: object) -> Callable[[Iterable[object]], Iterator[Draft]]:
    example = line[0] if isinstance(line, list) and line else line
    if fastchat.is_fastchat(example):
        return fastchat.read
    if openai.is_openai(example):
        return openai.read
    raise ImportRefused(reason=f"it is none of these: {KNOWN}")


def _lines(text: str) -> Iterator[object]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield strict_json(line)
        except ValueError as exc:
            where = (
                f"line {number}" if not isinstance(exc, json.JSONDecodeError) else f"line {number}, near {exc.colno}"
            )
            raise ImportRefused(reason=f"{where}: it is not JSON") from exc
