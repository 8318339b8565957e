"""An answer on its way out, piece by piece: held back as far as a rule may still find something in it. Pure.

The same text comes out however it was cut into pieces: it is looked at whenever it has grown by a fixed number of
characters. A match that is longer than what is held back may be missed; where it is seen after a part of it was shown,
it ends the answer. A match near the end of what is there counts when more has come: "ass" may become "assumed".
"""

from collections.abc import Iterable

from apps.core.languages import CHARS_READ
from apps.moderation.actions import Finding, Policies, action_for, most_severe, redacted
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import Matcher, findings_between

STEP_CHARS = 256
HELD_CHARS = 256
AHEAD_CHARS = 64
"""So much must follow a match before it counts: an expression may ask what comes after it."""


class Outgoing:
    """One answer. `is_held`: show nothing before all of it was judged.

    `given`: what was shown of an answer that this one goes on with.
    """

    def __init__(
        self,
        matchers: Iterable[Matcher],
        policies: Policies,
        surface: Surface,
        *,
        is_held: bool = False,
        given: str = "",
    ) -> None:
        self.findings: dict[Finding, Action] = {}
        """Those about which something is done, without their places."""
        self.text = given
        """As it was written."""
        rules = list(matchers)
        self._matchers = [matcher for matcher in rules if not matcher.is_of_whole_texts]
        self._lengths = [matcher for matcher in rules if matcher.kind is RuleKind.LENGTH]
        self._languages = [matcher for matcher in rules if matcher.is_of_languages]
        self._policies = policies
        self._surface = surface
        self._is_held = is_held
        self._n_looked_at = self._n_shown = len(given)

    @property
    def action(self) -> Action:
        return most_severe(self.findings.values())

    @property
    def is_refused(self) -> bool:
        return self.action is Action.REFUSE

    def feed(self, piece: str, *, asked_at: float | None = None) -> str:
        """Return what may be shown now. `asked_at`: see `matching.findings_of`."""
        self.text += piece
        if self._is_held:
            return ""
        shown: list[str] = []
        while len(self.text) >= self._n_looked_at + STEP_CHARS:
            self._n_looked_at += STEP_CHARS
            shown.append(self._look(self._n_looked_at, asked_at, is_last=False))
        return "".join(shown)

    def is_due(self, piece: str) -> bool:
        """Whether feeding this piece takes time."""
        return not self._is_held and len(self.text) + len(piece) >= self._n_looked_at + STEP_CHARS

    def finish(self, judged: Iterable[Finding] = (), *, asked_at: float | None = None) -> str:
        """Return the rest. `judged`: what others found in the whole text. `asked_at`: as for `feed`."""
        for finding in judged:
            self._act(finding)
        return self._look(len(self.text), asked_at, is_last=True)

    def _look(self, end: int, asked_at: float | None, *, is_last: bool) -> str:
        """Look at the text up to `end`, and at so much before it that nothing which begins there is missed."""
        for matcher in self._lengths:
            if (found := matcher.finding(self.text[:end])) is not None:
                self._act(found)
        # Told by the beginning, and not before there is enough of it: the first words may be a quotation.
        if is_last or end >= CHARS_READ > end - STEP_CHARS:
            for matcher in self._languages:
                if (found := matcher.finding(self.text[:end])) is not None:
                    self._act(found)
        settled = end if is_last else end - AHEAD_CHARS
        begin = max(0, self._n_shown - HELD_CHARS)
        findings = findings_between(self._matchers, self.text, begin, end, asked_at=asked_at)
        for finding in findings:
            if not finding.spans or any(last <= settled for _, last in finding.spans):
                self._act(finding)
        spans = self._withheld(findings)
        if any(first < self._n_shown and last <= settled for first, last in spans):
            self.findings[Finding("redacted-late", "the gate")] = Action.REFUSE
        if self.is_refused:
            return ""
        until = end if is_last else end - HELD_CHARS
        for first, last in sorted(spans, reverse=True):
            if first < until < last:
                until = first
        until = max(until, self._n_shown)
        shown = redacted(self.text[:until], [span for span in spans if span[1] <= until])
        # Everything before what is new was shown already, and nothing was taken out of it just now.
        shown = shown[self._n_shown :]
        self._n_shown = until
        return shown

    def _act(self, finding: Finding) -> None:
        """Note it, without its places."""
        action = self._action_for(finding)
        if action is not Action.ALLOW:
            self.findings[Finding(finding.category, finding.by)] = action

    def _withheld(self, findings: Iterable[Finding]) -> list[tuple[int, int]]:
        """The places in what is not shown yet, or partly, that are not to be shown."""
        kept_back = (Action.REDACT, Action.REFUSE)
        spans = (span for finding in findings if self._action_for(finding) in kept_back for span in finding.spans)
        return [span for span in spans if span[1] > self._n_shown]

    def _action_for(self, finding: Finding) -> Action:
        return action_for(finding, self._policies, self._surface, Direction.OUT)
