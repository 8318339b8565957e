"""The gate for what models write: events of an answer, or a whole one, as they may be shown.

Where no policy speaks of answers they pass untouched. With a classifier an answer is held until it was judged.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from apps.accounts.actors import Actor
from apps.moderation import gate, selectors
from apps.moderation.actions import most_severe
from apps.moderation.answer_choice import CALLS, TEXTS, AnswerChoice
from apps.moderation.choices import Direction, Surface
from apps.moderation.selectors import Decided
from apps.workers.events import WorkerEvent

Json = dict[str, Any]

CONTENT_FILTER = "content_filter"
"""Source: OpenAI API reference, `finish_reason`."""

PASSED_ON = ("index", "finish_reason", "stop_reason")
"""Of a choice, beside what it says. Log probabilities and token ids would tell what is held back."""


class AnswerGate:
    """One answer's, also if its events are read in several goes. Whoever reads it closes it when nothing more comes.

    `records`: whether incidents are this reader's to keep; of several that read one answer, one does.
    `given`: what was shown of an answer that this one goes on with; both are judged as one text.
    `reference`: what incidents are found by; the request's id, if it is left out.
    """

    def __init__(
        self,
        *,
        surface: Surface,
        actor: Actor,
        records: Callable[[], bool] = lambda: True,
        given: str = "",
        reference: str | None = None,
    ) -> None:
        self._surface = surface
        self._actor = actor
        self._records = records
        self._given = given
        self._reference = reference
        self._rules: Decided | None = None
        self._choices: dict[int, AnswerChoice] = {}
        self._last: WorkerEvent | None = None

    async def events(self, events: AsyncGenerator[WorkerEvent, None]) -> AsyncGenerator[WorkerEvent, None]:
        """The events as they may be shown. Closing this closes them."""
        async with aclosing(events) as source:
            async for event in source:
                if event.body.get("choices"):
                    yield await self._event(event) if await self._looks() else event
                    continue
                if event.usage is not None and (rest := await self._rest()) is not None:
                    yield rest
                yield event
            if (rest := await self._rest()) is not None:
                yield rest

    async def whole(self, answer: Json) -> Json:
        """A whole chat or text completion, as it may be shown."""
        if not answer.get("choices") or not await self._looks():
            return answer
        choices = [
            await self._shown(choice | {"finish_reason": choice.get("finish_reason") or "stop"})
            for choice in answer["choices"]
        ]
        return answer | {"choices": choices}

    async def close(self) -> None:
        """Keep what was found in an answer that broke off, or that nobody waits for any more."""
        for choice in self._choices.values():
            await self._record(choice)

    async def _looks(self) -> bool:
        self._rules = self._rules or await selectors.current()
        return self._rules.looks_at(self._surface, Direction.OUT)

    async def _event(self, event: WorkerEvent) -> WorkerEvent:
        self._last = event
        return _with_choices(event, [await self._shown(choice) for choice in event.body["choices"]])

    async def _rest(self) -> WorkerEvent | None:
        """What was held back of choices that never said why they end: some servers just close the stream."""
        if self._last is None:
            return None
        part = _part(self._last.body["choices"][0])
        nothing: Json = {part: {}} if part else {"text": ""}
        unended = [index for index, choice in self._choices.items() if not choice.is_over]
        choices = [await self._finished({"index": index} | nothing, {}) for index in unended]
        told = [choice for choice in choices if choice.get("finish_reason") or _says(choice)]
        return _with_choices(self._last, told) if told else None

    async def _shown(self, choice: Json) -> Json:
        """A chunk's or a whole answer's."""
        outgoing = self._choice(choice)
        shown = await outgoing.feed(_said(choice))
        if choice.get("finish_reason"):
            return await self._finished(choice, shown)
        return _replaced(choice, shown, is_refused=outgoing.is_refused)

    async def _finished(self, choice: Json, shown: dict[str, str]) -> Json:
        outgoing = self._choice(choice)
        for name, text in (await outgoing.finish()).items():
            shown[name] = shown.get(name, "") + text
        await self._record(outgoing)
        if outgoing.is_refused:
            choice = choice | {"finish_reason": CONTENT_FILTER}
            if self._surface is not Surface.API:
                shown["content"] = shown.get("content", "") + _note(outgoing)
        return _replaced(choice, shown, is_refused=outgoing.is_refused)

    def _choice(self, choice: Json) -> AnswerChoice:
        assert self._rules is not None  # noqa: S101  # asked for by `_looks` before
        index = choice.get("index", 0)
        if index not in self._choices:
            self._choices[index] = AnswerChoice(self._rules, self._surface, given=self._given)
        return self._choices[index]

    async def _record(self, choice: AnswerChoice) -> None:
        """Keep an incident of what was found since the last one."""
        found = {finding: action for finding, action in choice.findings.items() if finding not in choice.recorded}
        if not found or not self._records():
            return
        choice.recorded |= found.keys()
        action = most_severe(found.values())
        await gate.record(
            action,
            list(found),
            surface=self._surface,
            direction=Direction.OUT,
            actor=self._actor,
            reference=self._reference,
        )


def _part(choice: Json) -> str:
    """Under which name a choice has what it says; a text completion has it in itself."""
    return next((name for name in ("delta", "message") if name in choice), "")


def _said(choice: Json) -> Json:
    part = _part(choice)
    return (choice[part] or {}) if part else choice


def _says(choice: Json) -> bool:
    return any(_said(choice).get(name) for name in TEXTS)


def _replaced(choice: Json, shown: dict[str, str], *, is_refused: bool) -> Json:
    """The choice with what may be shown of it, and nothing that nobody has looked at."""
    part, said = _part(choice), _said(choice)
    texts = {name: text for name, text in shown.items() if text or said.get(name) is not None}
    kept = {name: choice[name] for name in PASSED_ON if name in choice}
    if "logprobs" in choice:
        kept["logprobs"] = None
    if not part:
        return kept | {"text": texts.get("text", "")}
    passed_on = ("role",) if is_refused else ("role", *CALLS)
    empty = {name: said[name] for name in TEXTS if name in said and not said[name]}
    return kept | {part: {name: said[name] for name in passed_on if name in said} | empty | texts}


def _with_choices(event: WorkerEvent, choices: list[Json]) -> WorkerEvent:
    body = event.body | {"choices": choices}
    return replace(event, body=body, data=json.dumps(body, ensure_ascii=False))


def _note(choice: AnswerChoice) -> str:
    """People are told in the answer itself; programs by the reason why it ended."""
    found = ", ".join(f"{finding.by} ({finding.category})" for finding in choice.findings)
    return f"\n\n[The rest is not shown: {found}.]"
