"""What rules and classifier say of texts when somebody asks for that alone: nothing is done about it."""

import asyncio
from dataclasses import dataclass

from apps.moderation import classifier, matching, selectors
from apps.moderation.actions import UNCHECKED, Finding
from apps.moderation.classifier import Judgement
from apps.moderation.errors import ClassifierAway, NothingSetUp
from apps.moderation.selectors import Decided


@dataclass(frozen=True, slots=True)
class Assessment:
    """Of several texts, by whom: the classifier's model, or the rules alone."""

    model: str
    judgements: list[Judgement]


async def assessed(texts: list[str]) -> Assessment:
    """Only categories that somebody judged are told; a rule is sure of what it finds.

    Raises: NothingSetUp; ClassifierAway, also when a rule ran out of time.
    """
    rules = await selectors.current()
    if not rules.looks:
        raise NothingSetUp
    found = await asyncio.to_thread(matching.findings_of, rules.matchers, texts)
    theirs = [Judgement({}, {}) for _ in texts]
    model = "rules"
    if rules.classifier is not None:
        theirs = await classifier.judged(rules.classifier, texts)
        model = rules.classifier.model_name or rules.classifier.name
    pairs = zip(found, theirs, strict=True)
    return Assessment(model, [_together(rules, findings, judgement) for findings, judgement in pairs])


def _together(rules: Decided, findings: list[Finding], judgement: Judgement) -> Judgement:
    by_rules = {finding.category for finding in findings}
    if UNCHECKED in by_rules:
        names = ", ".join(finding.by for finding in findings if finding.category == UNCHECKED)
        raise ClassifierAway(reason=f"out of time: {names}")
    ours = {matcher.category: matcher.category in by_rules for matcher in rules.matchers}
    categories = judgement.categories | {
        name: is_found or judgement.categories.get(name, False) for name, is_found in ours.items()
    }
    scores = judgement.scores | {
        name: 1.0 if is_found else judgement.scores.get(name, 0.0) for name, is_found in ours.items()
    }
    return Judgement(categories, scores)
