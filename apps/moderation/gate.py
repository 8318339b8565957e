"""The gate: every text that comes in goes through here, before it is stored or a model reads it.

A surface asks with all the texts of one request. They come back as they may go on, or the request is refused.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from django.db import InterfaceError, OperationalError

from apps.accounts.actors import Actor
from apps.core.middleware import request_id_var
from apps.core.texts import clean_text
from apps.core.threads import in_thread
from apps.moderation import classifier, matching, selectors
from apps.moderation.actions import UNCHECKED, Finding, Verdict, most_severe, verdict_of
from apps.moderation.bans import ban_check
from apps.moderation.choices import Action, Direction, Surface
from apps.moderation.errors import ClassifierAway, TextRefused
from apps.moderation.selectors import Decided
from apps.moderation.services.incidents import incident_record
from apps.moderation.threads import rule_threads

logger = logging.getLogger(__name__)


async def texts_pass(
    texts: Sequence[str],
    *,
    surface: Surface,
    actor: Actor,
    fixed: Sequence[str] = (),
    reference: str | None = None,
    references: Sequence[str] = (),
    directions: Sequence[Direction] = (Direction.IN,),
    must_be_judged: bool = False,
) -> list[str]:
    """The texts as they may go on, redacted where a policy says so.

    What cannot be stored, such as a NUL, is dropped before anybody looks, so that nothing hides behind it.

    `fixed`: texts out of which nothing can be taken, such as names. They pass as they are, or are refused.
    `reference`: what an incident is found by; the request's id, if it is left out. `references`: instead, of each of
    the texts its own, and an incident for each that is found by another.
    `directions`: whose policies hold; for a text that others read as a model's, also those for answers.
    `must_be_judged`: whatever the policies say, nothing passes that somebody had no time for.

    Raises: Banned: nothing of theirs is looked at; TextRefused; ClassifierAway, if they must be judged and were not.
    """
    rules = await selectors.current()
    if rules.has_bans:
        await in_thread(ban_check, actor)
    looked_at = [clean_text(text) for text in (*texts, *fixed)]
    directions = [direction for direction in directions if rules.looks_at(surface, direction)]
    if not directions or not looked_at:
        return list(texts)
    findings = await findings_of(rules, looked_at)
    if must_be_judged and (away := _unchecked_by(findings)):
        raise ClassifierAway(reason=f"there was no time for {away}")
    # Nobody tells the language of a name, and nothing can be taken out of it.
    of_languages = {matcher.name for matcher in rules.matchers if matcher.is_of_languages}
    for found in findings[len(texts) :]:
        found[:] = [replace(finding, spans=()) for finding in found if finding.by not in of_languages]
    pairs = zip(looked_at, findings, strict=True)
    verdicts = [verdict_of(text, found, rules.policies, surface, directions) for text, found in pairs]
    found_by: dict[str | None, list[Verdict]] = {}
    for number, verdict in enumerate(verdicts):
        if verdict.action is not Action.ALLOW:
            where = references[number] if number < len(references) else reference
            found_by.setdefault(where, []).append(verdict)
    for where, acted in found_by.items():
        await record_together(acted, surface=surface, actor=actor, reference=where)
    if reason := refusal_of(verdicts):
        raise TextRefused(reason=reason)
    return [verdict.text for verdict in verdicts[: len(texts)]]


Note = dict[str, Any]
"""What was done about a text, for whoever sent it: `action`, `text` ("in" or "out"), `categories` and `found_by`."""

_notes: ContextVar[list[Note] | None] = ContextVar("moderation_notes", default=None)


@contextmanager
def noting(notes: list[Note]) -> Iterator[None]:
    """Put into `notes` what is done about texts meanwhile, beside the incidents: for answers that come in a file."""
    token = _notes.set(notes)
    try:
        yield
    finally:
        _notes.reset(token)


async def text_pass(text: str, *, surface: Surface, actor: Actor, reference: str | None = None) -> str:
    """As `texts_pass`, for one."""
    [passed] = await texts_pass([text], surface=surface, actor=actor, reference=reference)
    return passed


async def looks() -> bool:
    """Whether anybody looks at texts here."""
    return (await selectors.current()).looks


async def acts_on(surface: Surface) -> bool:
    """Whether anything that may be found in what is sent there has a consequence."""
    return (await selectors.current()).acts_on(surface)


async def findings_of(rules: Decided, texts: list[str]) -> list[list[Finding]]:
    """Of each text what all rules and the classifier find."""
    by_rules = await rule_threads.run(matching.findings_of, rules.matchers, texts, asked_at=monotonic())
    if rules.classifier is None:
        return by_rules
    by_classifier = await classifier.findings_of(rules.classifier, texts)
    return [ours + theirs for ours, theirs in zip(by_rules, by_classifier, strict=True)]


async def record_together(acted: Sequence[Verdict], *, surface: Surface, actor: Actor, reference: str | None) -> None:
    """One incident of several texts."""
    action = most_severe(verdict.action for verdict in acted)
    direction = next(verdict.direction for verdict in acted if verdict.action is action)
    findings = [finding for verdict in acted for finding in verdict.findings]
    await record(action, findings, surface=surface, direction=direction, actor=actor, reference=reference)


async def record(
    action: Action,
    findings: Sequence[Finding],
    *,
    surface: Surface,
    direction: Direction,
    actor: Actor,
    reference: str | None = None,
) -> None:
    """Keep an incident. While the database is away it goes to the log: the verdict holds anyway."""
    if (notes := _notes.get()) is not None:
        notes.append(
            {
                "action": str(action),
                "text": str(direction),
                "categories": sorted({finding.category for finding in findings}),
                "found_by": sorted({finding.by for finding in findings}),
            }
        )
    request_id = request_id_var.get()
    write = partial(
        incident_record,
        surface=surface,
        direction=direction,
        action=action,
        findings=findings,
        actor=actor,
        reference=request_id if reference is None else reference,
        request_id=request_id,
    )
    try:
        await in_thread(write)
    except (OperationalError, InterfaceError) as exc:
        logger.warning("an incident is not kept (%s, %s): %s", surface, [f.by for f in findings], exc)


def _unchecked_by(findings: Sequence[Sequence[Finding]]) -> str:
    """Who could not judge some of the texts; empty: nobody."""
    return ", ".join(dict.fromkeys(f.by for found in findings for f in found if f.category == UNCHECKED))


def refusal_of(verdicts: Sequence[Verdict]) -> str:
    """Why a request is refused for what was found in its texts or images; empty if it is not."""
    refused = [verdict for verdict in verdicts if verdict.action is Action.REFUSE]
    return ", ".join(dict.fromkeys(f"{f.by} ({f.category})" for verdict in refused for f in verdict.findings))
