"""What rules and classifier say of texts when somebody asks for that alone: nothing is done about it."""

from time import monotonic

from apps.moderation import classifier, matching, selectors
from apps.moderation.actions import UNCHECKED, Finding
from apps.moderation.classifier import Judgement
from apps.moderation.errors import ClassifierAway, NothingSetUp
from apps.moderation.selectors import Decided
from apps.moderation.threads import rule_threads


async def assessor() -> Decided:
    """Who judges texts now. Raises: NothingSetUp."""
    rules = await selectors.current()
    if not rules.looks:
        raise NothingSetUp
    return rules


def name_of(rules: Decided) -> str:
    """The classifier's model, or the rules alone."""
    return "rules" if rules.classifier is None else rules.classifier.model_name or rules.classifier.name


async def assessed(rules: Decided, texts: list[str]) -> list[Judgement]:
    """Only categories that somebody judged are told; a rule is sure of what it finds.

    Raises: ClassifierAway, also when a rule ran out of time.
    """
    found = await rule_threads.run(matching.findings_of, rules.matchers, texts, asked_at=monotonic())
    theirs = [Judgement({}, {}) for _ in texts]
    if rules.classifier is not None:
        theirs = await classifier.judged(rules.classifier, texts)
    return [_together(rules, findings, judgement) for findings, judgement in zip(found, theirs, strict=True)]


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
