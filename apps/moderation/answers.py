"""The gate for what models write: events of an answer, or a whole one, as they may be shown.

Where no policy speaks of answers they pass untouched. With a classifier an answer is held until it was judged.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from apps.accounts.actors import Actor
from apps.moderation import classifier, gate, selectors
from apps.moderation.actions import Finding
from apps.moderation.choices import Action, Direction, Surface
from apps.moderation.outgoing import Outgoing
from apps.moderation.selectors import Decided
from apps.workers.events import WorkerEvent

Json = dict[str, Any]

CONTENT_FILTER = "content_filter"
"""Source: OpenAI API reference, `finish_reason`."""


class AnswerGate:
    """One answer's, also if its events are read in several goes.

    `records`: whether incidents are this reader's to keep; of several that read one answer, one does.
    """

    def __init__(self, *, surface: Surface, actor: Actor, records: Callable[[], bool] = lambda: True) -> None:
        self._surface = surface
        self._actor = actor
        self._records = records
        self._rules: Decided | None = None
        self._choices: dict[int, Outgoing] = {}

    async def events(self, events: AsyncGenerator[WorkerEvent, None]) -> AsyncGenerator[WorkerEvent, None]:
        """The events as they may be shown. Closing this closes them."""
        async with aclosing(events) as source:
            async for event in source:
                yield await self._event(event) if event.body.get("choices") and await self._looks() else event

    async def whole(self, answer: Json) -> Json:
        """A whole chat or text completion, as it may be shown."""
        if not answer.get("choices") or not await self._looks():
            return answer
        choices = [
            await self._choice(choice | {"finish_reason": choice.get("finish_reason") or "stop"})
            for choice in answer["choices"]
        ]
        return answer | {"choices": choices}

    async def _looks(self) -> bool:
        self._rules = self._rules or await selectors.current()
        return self._rules.looks_at(self._surface, Direction.OUT)

    async def _event(self, event: WorkerEvent) -> WorkerEvent:
        body = event.body | {"choices": [await self._choice(choice) for choice in event.body["choices"]]}
        return replace(event, body=body, data=json.dumps(body, ensure_ascii=False))

    async def _choice(self, choice: Json) -> Json:
        """A chunk's or an answer's. Log probabilities would tell what is held back."""
        outgoing = self._outgoing(choice.get("index", 0))
        name = next((name for name in ("delta", "message") if name in choice), "")
        piece = (choice[name].get("content") if name else choice.get("text")) or ""
        due = outgoing.is_due(piece)
        shown = await asyncio.to_thread(outgoing.feed, piece) if due else outgoing.feed(piece)
        changed = choice | ({"logprobs": None} if "logprobs" in choice else {})
        if choice.get("finish_reason"):
            shown += await self._finished(outgoing)
            if outgoing.is_refused:
                changed["finish_reason"] = CONTENT_FILTER
                shown += self._note(outgoing)
        if not name:
            return changed | {"text": shown}
        has_content = shown or choice[name].get("content") is not None
        return changed | {name: choice[name] | ({"content": shown} if has_content else {})}

    def _outgoing(self, index: int) -> Outgoing:
        assert self._rules is not None  # noqa: S101  # asked for by `_looks` before
        if index not in self._choices:
            is_held = self._rules.classifier is not None
            self._choices[index] = Outgoing(self._rules.matchers, self._rules.policies, self._surface, is_held=is_held)
        return self._choices[index]

    async def _finished(self, outgoing: Outgoing) -> str:
        assert self._rules is not None  # noqa: S101  # as above
        judged: list[Finding] = []
        if self._rules.classifier is not None and outgoing.text:
            [judged] = await classifier.findings_of(self._rules.classifier, [outgoing.text])
        shown = await asyncio.to_thread(outgoing.finish, judged)
        if outgoing.action is not Action.ALLOW and self._records():
            await gate.record(
                outgoing.action,
                list(outgoing.findings),
                surface=self._surface,
                direction=Direction.OUT,
                actor=self._actor,
            )
        return shown

    def _note(self, outgoing: Outgoing) -> str:
        """People are told in the answer itself; programs by the reason why it ended."""
        if self._surface is Surface.API:
            return ""
        found = ", ".join(f"{finding.by} ({finding.category})" for finding in outgoing.findings)
        return f"\n\n[The rest is not shown: {found}.]"
