"""Thoughts that a worker sends apart from the answer, put in front of it as models write them themselves.

So there is one text to be judged, stored and shown. Pure.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from apps.conversations.markdown.thoughts import CLOSE, OPEN
from apps.workers.events import WorkerEvent
from apps.workers.providers.continuing import is_only_thoughts

_NAMES = ("reasoning_content", "reasoning")
"""Source: vLLM, "Reasoning Outputs"; DeepSeek, "Thinking Mode". Newer versions of vLLM use the second name."""


class Thoughts:
    """Of one answer."""

    def __init__(self, given: str = "") -> None:
        """`given`: what there is of the answer already. Only where it is nothing, or thoughts without an end, thoughts
        can follow."""
        self._are_given = is_only_thoughts(given)
        self._is_shown = not given or self._are_given
        self._is_open = False
        self._is_over = False

    def assigned(self, *, is_asked_anew: bool) -> None:
        """Somebody is about to answer. `is_asked_anew`: it is not shown the thoughts that are given, so they end where
        its answer begins."""
        self._is_open = self._are_given and is_asked_anew

    async def events(self, events: AsyncGenerator[WorkerEvent, None]) -> AsyncGenerator[WorkerEvent, None]:
        """The events, each with its thoughts in its text. Closing this closes them."""
        async with aclosing(events) as source:
            async for event in source:
                yield self.event(event)

    def event(self, event: WorkerEvent) -> WorkerEvent:
        """Call it with each event once, in order."""
        choices = event.body.get("choices") or ()
        if not choices:
            return event
        delta: dict[str, Any] = choices[0].get("delta") or {}
        thought = next((delta[name] for name in _NAMES if isinstance(delta.get(name), str)), "")
        text = self._text(thought, delta.get("content") or "", has_ended=bool(choices[0].get("finish_reason")))
        if text == (delta.get("content") or "") and not thought:
            return event
        plain = {name: value for name, value in delta.items() if name not in _NAMES} | {"content": text}
        body = event.body | {"choices": [choices[0] | {"delta": plain}, *choices[1:]]}
        return replace(event, body=body, data=json.dumps(body, ensure_ascii=False))

    def _text(self, thought: str, content: str, *, has_ended: bool) -> str:
        shown = ""
        if thought and self._is_shown and not self._is_over:
            shown += thought if self._is_open or self._are_given else f"{OPEN}\n{thought}"
            self._is_open = True
        if self._is_open and (content or has_ended):
            shown += f"\n{CLOSE}\n\n"
            self._is_open = False
        self._is_over = self._is_over or bool(content)
        return shown + content
