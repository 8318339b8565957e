"""What is found in a text, and what is done about it. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.moderation.choices import Action, Direction, Surface

UNCHECKED = "unchecked"
"""The category of a text that somebody could not judge: its policy says whether a surface fails open or closed."""

UNSEEN = "image"
"""The category of an image where nobody can judge images: its policy says whether it goes on all the same."""

UNKNOWN_LANGUAGE = "unknown-language"
"""The category of a text that is too short, or too odd, for a rule to tell its language."""

_DEFAULTS = {UNCHECKED: Action.FLAG, UNSEEN: Action.FLAG, UNKNOWN_LANGUAGE: Action.ALLOW}
"""What is done where no policy names the category itself; about all others, what is said of "everything else"."""

OWN_CATEGORIES = frozenset(_DEFAULTS)
"""No rule may have them."""

REMOVED = "[removed]"


_BY_SEVERITY = (Action.ALLOW, Action.FLAG, Action.REDACT, Action.REFUSE)

Policies = Mapping[tuple[str, str, str], Action]
"""By surface, direction and category; the category is blank for all that have no policy of their own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`by`: the rule or classifier. `spans`: the places in the text, if it can say which: start and end.

    An expression that only looks ahead, such as `(?=.*bomb)(?=.*make)`, says where it began to look: an empty place.
    """

    category: str
    by: str
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def has_places(self) -> bool:
        """Whether all that was found can be pointed at."""
        return bool(self.spans) and all(start < end for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one text: `text` as it may go on, and the findings about which something is done.

    `direction`: whose policy it is that acts.
    """

    action: Action
    text: str
    findings: tuple[Finding, ...]
    direction: Direction = Direction.IN


def most_severe(actions: Iterable[Action]) -> Action:
    """Which counts of what is done about several findings."""
    return max(actions, key=_BY_SEVERITY.index, default=Action.ALLOW)


def verdict_of(
    text: str,
    findings: Sequence[Finding],
    policies: Policies,
    surface: Surface,
    directions: Collection[Direction] = (Direction.IN,),
) -> Verdict:
    """The most severe action of all findings in any of the directions, with everything redacted that is to be."""
    acted = [
        (finding, action_for(finding, policies, surface, direction), direction)
        for finding in findings
        for direction in directions
    ]
    action = most_severe(action for _, action, _ in acted)
    spans = [span for finding, action, _ in acted if action is Action.REDACT for span in finding.spans]
    told = tuple(dict.fromkeys(finding for finding, action, _ in acted if action is not Action.ALLOW))
    acting = next((direction for _, one, direction in acted if one is action), Direction.IN)
    return Verdict(action, redacted(text, spans), told, acting)


def redacted(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without these places, which may overlap."""
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [text[at:start], REMOVED]
        at = max(at, end)
    return "".join([*pieces, text[at:]])


def action_for(finding: Finding, policies: Policies, surface: Surface, direction: Direction) -> Action:
    """What the surface does about it."""
    everything_else = policies.get((surface, direction, ""), Action.REFUSE)
    default = _DEFAULTS.get(finding.category, everything_else)
    action = policies.get((surface, direction, finding.category), default)
    # What nobody can point at cannot be taken out.
    return Action.REFUSE if action is Action.REDACT and not finding.has_places else action
