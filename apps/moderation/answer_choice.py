"""One choice of an answer on its way out: its thoughts, its text and its refusal, each held back and judged by itself.

What was held back of one is shown before the next one begins, so that all comes in the order in which it was said.
"""

from time import monotonic
from typing import Any

from apps.core.texts import clean_text
from apps.moderation import classifier
from apps.moderation.actions import Finding, most_severe
from apps.moderation.choices import Action, Surface
from apps.moderation.outgoing import Outgoing
from apps.moderation.selectors import Decided
from apps.moderation.threads import rule_threads
from apps.workers.errors import WorkerInternal

Json = dict[str, Any]

TEXTS = ("reasoning_content", "reasoning", "content", "refusal", "text")
"""Source: OpenAI API reference, "The chat completion chunk object", `delta`, and "Create completion", `text`; for the
thoughts vLLM, "Reasoning outputs", by both of their names."""

CALLS = ("tool_calls", "function_call")
"""They are for programs, and taking something out of their JSON would break it: so they pass, but in their place."""


class AnswerChoice:
    """Feed it what comes; `is_over` when nothing more does. `recorded`: the findings of which there is an incident.

    `given`: with what its content began, which was shown before.
    """

    def __init__(self, rules: Decided, surface: Surface, *, given: str = "") -> None:
        self.is_over = False
        self.recorded: set[Finding] = set()
        self._rules = rules
        self._surface = surface
        self._given = given
        self._texts: dict[str, Outgoing] = {}
        self._n_judged: dict[str, int] = {}

    @property
    def findings(self) -> dict[Finding, Action]:
        """Those about which something is done, in any of its texts."""
        found: dict[Finding, Action] = {}
        for outgoing in self._texts.values():
            for finding, action in outgoing.findings.items():
                found[finding] = most_severe((action, found.get(finding, action)))
        return found

    @property
    def is_refused(self) -> bool:
        return any(outgoing.is_refused for outgoing in self._texts.values())

    async def feed(self, said: Json) -> dict[str, str]:
        """`said`: a delta, a message, or a choice with a text. Return what may be shown now, by the texts' names.

        Raises: WorkerInternal for a text that is none.
        """
        shown: dict[str, str] = {}
        for name in TEXTS:
            if piece := said.get(name):
                if not isinstance(piece, str):
                    raise WorkerInternal(reason=f"{name!r} of its answer is not a text")
                await self._settle(shown, all_but=name)
                self._show(shown, name, await self._fed(name, clean_text(piece)))
        if any(said.get(name) for name in CALLS):
            await self._settle(shown)
        return shown

    async def finish(self) -> dict[str, str]:
        """Nothing more comes. Return the rest, as `feed` does."""
        shown: dict[str, str] = {}
        await self._settle(shown)
        self.is_over = True
        return shown

    async def _fed(self, name: str, piece: str) -> str:
        if name not in self._texts:
            is_held = self._rules.classifier is not None
            self._texts[name] = Outgoing(
                self._rules.matchers,
                self._rules.policies,
                self._surface,
                is_held=is_held,
                given=self._given if name == "content" else "",
            )
        outgoing = self._texts[name]
        if not outgoing.is_due(piece):
            return outgoing.feed(piece)
        return await rule_threads.run(outgoing.feed, piece, asked_at=monotonic())

    async def _settle(self, shown: dict[str, str], *, all_but: str = "") -> None:
        """Judge what was held back of the other texts, and show it."""
        for name, outgoing in self._texts.items():
            if name == all_but or len(outgoing.text) == self._n_judged.get(name):
                continue
            self._n_judged[name] = len(outgoing.text)
            judged: list[Finding] = []
            if self._rules.classifier is not None:
                [judged] = await classifier.findings_of(self._rules.classifier, [outgoing.text])
            self._show(shown, name, await rule_threads.run(outgoing.finish, judged, asked_at=monotonic()))

    def _show(self, shown: dict[str, str], name: str, text: str) -> None:
        """After a refusal nothing is."""
        shown[name] = shown.get(name, "") + ("" if self.is_refused else text)
