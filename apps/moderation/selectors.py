"""Reads of what moderators decided, kept in the process for a moment, because every request asks for it; and of what
they opened."""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic

from django.db import InterfaceError, OperationalError
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now, TruncDate

from apps.accounts.actors import Actor
from apps.core.threads import in_thread
from apps.moderation.actions import UNCHECKED, Finding, Policies, action_for
from apps.moderation.choices import Action, Direction, Review, RuleKind, Surface
from apps.moderation.matching import Matcher
from apps.moderation.models import Ban, Classifier, Incident, Opening, Policy, Rule

logger = logging.getLogger(__name__)

FRESH_S = 2.0
"""A change in the admin holds everywhere after this time."""


@dataclass(frozen=True, slots=True)
class Decided:
    """All of it. Without matchers and classifier no text is looked at."""

    matchers: tuple[Matcher, ...]
    classifier: Classifier | None
    policies: Policies
    has_bans: bool = False
    """Whether anybody is banned: else nobody need be asked for."""

    @property
    def looks(self) -> bool:
        return bool(self.matchers or self.classifier)

    def acts_on(self, surface: Surface) -> bool:
        """Whether something is done there about any category that a rule or the classifier may find in what is sent."""
        categories = {category for matcher in self.matchers for category in matcher.categories}
        if self.classifier is not None:
            here = (surface, Direction.IN)
            categories |= {"", *(category for *where, category in self.policies if tuple(where) == here)}
        findings = (Finding(category, "") for category in categories)
        actions = {action_for(finding, self.policies, surface, Direction.IN) for finding in findings}
        return bool(actions - {Action.ALLOW})

    def looks_at(self, surface: Surface, direction: Direction) -> bool:
        """Answers are looked at only where a policy speaks of them: it holds them up."""
        is_spoken_of = any(policy[:2] == (surface, direction) for policy in self.policies)
        return self.looks and (direction is Direction.IN or is_spoken_of)


EVERYTHING_ELSE = ""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """What is done about one category: of each surface in what is sent, and in answers; None where nobody looks."""

    category: str
    cells: tuple[Action | None, ...]


def policy_table(rules: Decided) -> list[PolicyRow]:
    """What holds now for all categories that are known here, "everything else" last; columns as `policy_columns`."""
    known = {category for matcher in rules.matchers for category in matcher.categories} | {UNCHECKED}
    known |= {category for *_, category in rules.policies if category}
    return [
        PolicyRow(category, tuple(_effective(rules, category, *column) for column in policy_columns()))
        for category in (*sorted(known), EVERYTHING_ELSE)
    ]


def policy_columns() -> list[tuple[Surface, Direction]]:
    return [(surface, direction) for surface in Surface for direction in Direction]


def _effective(rules: Decided, category: str, surface: Surface, direction: Direction) -> Action | None:
    if not rules.looks_at(surface, direction):
        return None
    # As of something that can be pointed at: what cannot be is refused where others are redacted.
    return action_for(Finding(category, "", ((0, 1),)), rules.policies, surface, direction)


_fresh: tuple[float, Decided] | None = None


def fresh() -> Decided | None:
    """What was loaded a moment ago; asks no database."""
    return _fresh[1] if _fresh is not None and monotonic() <= _fresh[0] + FRESH_S else None


async def current() -> Decided:
    """As `decided`, off the event loop if it must ask."""
    known = fresh()
    return known if known is not None else await in_thread(decided)


def decided() -> Decided:
    """What holds now, or did `FRESH_S` ago; while the database is away, what was loaded last."""
    global _fresh
    if (known := fresh()) is not None:
        return known
    last = _fresh
    try:
        loaded = _load()
    except (OperationalError, InterfaceError) as exc:
        # An answer that comes from a worker meanwhile goes on, by the rules that held.
        if last is None:
            raise
        logger.warning("moderation goes by what was loaded %.0f s ago: %s", monotonic() - last[0], exc)
        return last[1]
    _fresh = (monotonic(), loaded)
    return loaded


def forget() -> None:
    """Look again at the next call."""
    global _fresh
    _fresh = None


def bans_in_force() -> QuerySet[Ban]:
    return Ban.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), lifted_at=None)


def _load() -> Decided:
    rules = Rule.objects.filter(is_active=True)
    return Decided(
        matchers=tuple(Matcher(rule.name, rule.category, RuleKind(rule.kind), rule.pattern) for rule in rules),
        classifier=Classifier.objects.filter(is_active=True).first(),
        policies={(row.surface, row.direction, row.category): Action(row.action) for row in Policy.objects.all()},
        has_bans=bans_in_force().exists(),
    )


OPENINGS_SHOWN = 100


def openings_list(actor: Actor) -> list[Opening]:
    """What staff opened of this person's, the newest first; none for somebody unknown."""
    if actor.user_id is not None:
        found = Opening.objects.filter(owner_id=actor.user_id)
    elif actor.visitor_public_id is not None:
        found = Opening.objects.filter(visitor_public_id=actor.visitor_public_id)
    else:
        return []
    return list(found[:OPENINGS_SHOWN])


@dataclass(frozen=True, slots=True)
class DayCount:
    """Incidents of one day, by what was done at once, and those that wait for a moderator."""

    day: date
    n_flagged: int
    n_redacted: int
    n_refused: int
    n_open: int


DAYS_COUNTED = 14


def incidents_by_day(today: date) -> list[DayCount]:
    """The last `DAYS_COUNTED` days on which there were any, the newest first, in one query. Days are UTC's."""
    since = datetime.combine(today - timedelta(days=DAYS_COUNTED - 1), time.min, tzinfo=UTC)
    by_day = Incident.objects.filter(created_at__gte=since).values(day=TruncDate("created_at", tzinfo=UTC))
    counted = by_day.annotate(
        n_flagged=Count("pk", filter=Q(action=Action.FLAG)),
        n_redacted=Count("pk", filter=Q(action=Action.REDACT)),
        n_refused=Count("pk", filter=Q(action=Action.REFUSE)),
        n_open=Count("pk", filter=Q(review=Review.OPEN)),
    )
    return [DayCount(**row) for row in counted.order_by("-day")]
