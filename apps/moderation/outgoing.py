"""An answer on its way out, piece by piece: held back as far as a rule may still find something in it. Pure.

The same text comes out however it was cut into pieces: it is looked at whenever it has grown by a fixed number of
characters. A match that is longer than what is held back may be missed; where it is seen after a part of it was shown,
it ends the answer.
"""

from collections.abc import Iterable

from apps.moderation.actions import Finding, Policies, Severity, action_for, redacted
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import Matcher, findings_of

STEP_CHARS = 256
HELD_CHARS = 256


class Outgoing:
    """One answer. `is_held`: show nothing before all of it was judged."""

    def __init__(
        self, matchers: Iterable[Matcher], policies: Policies, surface: Surface, *, is_held: bool = False
    ) -> None:
        self.findings: dict[Finding, Action] = {}
        """Those about which something is done, without their places."""
        self.text = ""
        """As it was written."""
        self._matchers = [matcher for matcher in matchers if matcher.kind is not RuleKind.LENGTH]
        self._lengths = [matcher for matcher in matchers if matcher.kind is RuleKind.LENGTH]
        self._policies = policies
        self._surface = surface
        self._is_held = is_held
        self._n_looked_at = 0
        self._n_shown = 0

    @property
    def action(self) -> Action:
        return max(self.findings.values(), key=lambda action: Severity[action.name], default=Action.ALLOW)

    @property
    def is_refused(self) -> bool:
        return self.action is Action.REFUSE

    def feed(self, piece: str) -> str:
        """Return what may be shown now."""
        self.text += piece
        if self._is_held:
            return ""
        shown: list[str] = []
        while len(self.text) >= self._n_looked_at + STEP_CHARS:
            self._n_looked_at += STEP_CHARS
            shown.append(self._look(self._n_looked_at, is_last=False))
        return "".join(shown)

    def is_due(self, piece: str) -> bool:
        """Whether feeding this piece takes time."""
        return not self._is_held and len(self.text) + len(piece) >= self._n_looked_at + STEP_CHARS

    def finish(self, judged: Iterable[Finding] = ()) -> str:
        """Return the rest. `judged`: what others found in the whole text."""
        for finding in judged:
            self._act(finding)
        return self._look(len(self.text), is_last=True)

    def _look(self, end: int, *, is_last: bool) -> str:
        """Look at the text up to `end`, and at so much before it that nothing which begins there is missed."""
        for matcher in self._lengths:
            if (found := matcher.finding(self.text[:end])) is not None:
                self._act(found)
        start = max(0, self._n_shown - HELD_CHARS)
        [findings] = findings_of(self._matchers, [self.text[start:end]])
        spans = [(start + first, start + last) for found in findings for first, last in self._act(found)]
        spans = [span for span in spans if span[1] > self._n_shown]
        if any(first < self._n_shown for first, _ in spans):
            self.findings[Finding("redacted-late", "the gate")] = Action.REFUSE
        if self.is_refused:
            return ""
        until = end if is_last else max(self._n_shown, end - HELD_CHARS)
        if not is_last:
            until = min([until, *(first for first, last in spans if first < until < last)])
        shown = redacted(self.text[:until], [span for span in spans if span[1] <= until])
        # Everything before what is new was shown already, and nothing was taken out of it just now.
        shown = shown[self._n_shown :]
        self._n_shown = until
        return shown

    def _act(self, finding: Finding) -> tuple[tuple[int, int], ...]:
        """Note it, and return the places that are to be taken out."""
        action = action_for(finding, self._policies, self._surface, Direction.OUT)
        if action is not Action.ALLOW:
            self.findings[Finding(finding.category, finding.by)] = action
        return finding.spans if action is Action.REDACT else ()
