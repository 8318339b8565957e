"""What the site's moderation says of conversations, written beside them: nothing is dropped and nothing is changed."""

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.datasets.records import Record
from apps.datasets.steps.base import MapStep, Outcome, step

if TYPE_CHECKING:
    from apps.moderation.classifier import Judgement


@step
@dataclass(frozen=True)
class ModerationTags(MapStep):
    """Write down what the site's rules and classifier say: in "moderation" how likely each category is, for the message
    where it is likeliest, and in "moderation_flagged" the categories that are found. Nothing is dropped.

    Where somebody had no time to judge, "moderation_unchecked" says why.
    """

    name = "moderation_tags"

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for name in ("moderation", "moderation_flagged", "moderation_unchecked"):
            record.fields.pop(name, None)
        texts = [message.content for message in record.all_messages() if message.content.strip()]
        judgements = _judged(texts) if texts else []
        if isinstance(judgements, str):
            notes["not judged in time"] += 1
            record.fields["moderation_unchecked"] = judgements
            return record
        flagged = sorted({name for one in judgements for name, is_found in one.categories.items() if is_found})
        record.fields["moderation"] = {
            name: round(max(one.scores.get(name, 0.0) for one in judgements), 4)
            for name in sorted({name for one in judgements for name in one.scores})
        }
        if flagged:
            record.fields["moderation_flagged"] = flagged
        for name in flagged:
            notes[f"flagged: {name}"] += 1
        return record


_own = threading.local()
"""The event loop of a thread, which keeps the connections to a classifier."""


def _judged(texts: list[str]) -> "list[Judgement] | str":
    """Of each text what is said of it, or why nothing is. Raises: NothingSetUp."""
    _set_up()
    from apps.moderation.assessment import assessed, assessor
    from apps.moderation.errors import ClassifierAway

    async def judged() -> "list[Judgement]":
        return await assessed(await assessor(), texts)

    if not hasattr(_own, "runner"):
        _own.runner = asyncio.Runner()
    try:
        found: list[Judgement] = _own.runner.run(judged())
    except ClassifierAway as exc:
        return exc.message
    return found


def _set_up() -> None:
    """A process of a run begins without Django, which only this step needs."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
