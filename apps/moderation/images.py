"""The gate for images: the classifier judges them if it can; if not, a policy says whether they go on unseen."""

from collections.abc import Sequence

from apps.accounts.actors import Actor
from apps.moderation import classifier, selectors
from apps.moderation.actions import UNSEEN, Finding, verdict_of
from apps.moderation.choices import Action, Direction, Surface
from apps.moderation.errors import ImageNotAccepted
from apps.moderation.gate import record_together, refusal_of
from apps.moderation.selectors import Decided

NOBODY = "nobody here judges images"


async def images_pass(urls: Sequence[str], *, surface: Surface, actor: Actor, reference: str | None = None) -> None:
    """Let images go on, as `data:` URLs, or not. `reference`: as in `gate.texts_pass`. Raises: ImageNotAccepted."""
    rules = await selectors.current()
    if not urls or not rules.looks_at(surface, Direction.IN):
        return
    findings = await _findings_of(rules, urls)
    verdicts = [verdict_of("", found, rules.policies, surface) for found in findings]
    if acted := [verdict for verdict in verdicts if verdict.action is not Action.ALLOW]:
        await record_together(acted, surface=surface, actor=actor, reference=reference)
    if reason := refusal_of(verdicts):
        raise ImageNotAccepted(reason=reason)


async def _findings_of(rules: Decided, urls: Sequence[str]) -> list[list[Finding]]:
    judge = rules.classifier
    if judge is None or not judge.judges_images:
        return [[Finding(UNSEEN, NOBODY)] for _ in urls]
    return await classifier.image_findings(judge, urls)
