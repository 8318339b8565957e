"""Reads of accounts: what a key may do, which limits are in force for somebody, how far each is used up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, F, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from apps.accounts import quota
from apps.accounts.actors import Actor
from apps.accounts.errors import EndpointNotAllowed, KeyInvalid, ModelNotAllowed
from apps.accounts.models import ApiKey, Audience, Endpoint, LedgerEntry, Limit, Metric, Period, UsageCounter, User
from apps.accounts.quota import Gauge, Rule

ANY_MODEL = ""
IN_BATTLES = "models in battles"
"""Instead of a name that would tell who writes in a battle before its vote."""

BATTLES_WITHHELD_FOR = timedelta(days=1)


def keys_active(now: datetime) -> QuerySet[ApiKey]:
    """Keys that open: not revoked, not expired, and their owner may come in."""
    return ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), Q(user=None) | Q(user__is_active=True), revoked_at=None
    )


def key_check(actor: Actor, *, endpoint: str, model_name: str) -> None:
    """Whether the actor's key, if it is one, may ask this model for this. Asked for each call, also of a long job.

    Raises: KeyInvalid, EndpointNotAllowed, ModelNotAllowed.
    """
    key = endpoint_check(actor, endpoint)
    if key is not None and key.model_names and model_name not in key.model_names:
        raise ModelNotAllowed(model=model_name, allowed=", ".join(key.model_names))


def endpoint_check(actor: Actor, endpoint: str) -> ApiKey | None:
    """Whether the actor's key, if it is one, may be used here, whatever the model. Return the key.

    Raises: KeyInvalid, EndpointNotAllowed.
    """
    if actor.api_key_id is None:
        return None
    key = actor.api_key or keys_active(timezone.now()).filter(pk=actor.api_key_id).first()
    if key is None:
        raise KeyInvalid
    if key.endpoints and endpoint not in key.endpoints:
        raise EndpointNotAllowed(endpoint=endpoint, allowed=", ".join(key.endpoints))
    return key


def key_model_names(actor: Actor) -> list[str]:
    """The models that the actor's key is restricted to; empty for all."""
    if actor.api_key_id is None:
        return []
    if actor.api_key is not None:
        return actor.api_key.model_names
    return ApiKey.objects.filter(pk=actor.api_key_id).values_list("model_names", flat=True).first() or []


def limits_in_force(actor: Actor, model_name: str | None) -> list[Limit]:
    """Every limit that a call of this actor to this model must keep; `model_name` None: to any model."""
    speaks_of = Q(audience=Audience.EVERYONE)
    if actor.is_authenticated:
        speaks_of |= Q(audience=Audience.USER, user_id=actor.user_id) if actor.user_id else Q()
        speaks_of |= Q(audience=Audience.KEY, api_key_id=actor.api_key_id) if actor.api_key_id else Q()
        if actor.user_id:
            groups = User.groups.through.objects.filter(user_id=actor.user_id).values("group_id")
            speaks_of |= Q(audience=Audience.GROUP, group__in=groups)
    else:
        speaks_of |= Q(audience=Audience.VISITORS)
    limits = Limit.objects.filter(speaks_of).select_related("user", "group", "api_key")
    if model_name is not None:
        limits = limits.filter(model_name__in=[ANY_MODEL, model_name])
    found = list(limits)
    in_force = quota.rules_in_force(map(_rule, found))
    return [limit for limit in found if limit.pk in in_force]


def counts_tokens(limits: Iterable[Limit]) -> bool:
    """Whether a call must say beforehand how many tokens it may use."""
    return any(limit.metric in (Metric.TOKENS, Metric.COST) for limit in limits)


def subject_of(limit: Limit, actor: Actor) -> str:
    """Whose counter of this limit a call moves: blank where an audience has one together, or is one alone."""
    if limit.is_shared or limit.audience in (Audience.USER, Audience.KEY):
        return ""
    if actor.user_id is not None:
        return f"user:{actor.user_id}"
    if actor.api_key_id is not None:
        return f"key:{actor.api_key_id}"
    if actor.is_installation:
        return "installation"
    return f"visitor:{actor.visitor_public_id or 'unknown'}"


def gauge_of(limit: Limit, counter: UsageCounter | None, now: datetime) -> Gauge:
    """The limit as it stands; without a counter nothing was used in this window."""
    period = Period(limit.period)
    return Gauge(
        label=label_of(limit),
        metric=Metric(limit.metric),
        period=period,
        amount=limit.amount,
        used=counter.used if counter else Decimal(0),
        reserved=counter.reserved if counter else Decimal(0),
        resets_at=quota.window_end(period, now),
    )


def gauges_list(actor: Actor, model_name: str | None = None, *, now: datetime | None = None) -> list[Gauge]:
    """How every limit stands that this actor must keep, in two or three queries, for a meter."""
    return _gauges(limits_in_force(actor, model_name), actor, now or timezone.now())


def rate_limit_headers(actor: Actor, limits: Sequence[Limit]) -> dict[str, str]:
    """The `x-ratelimit-…` headers of a reply: of the limits on requests, and on tokens, the one that is nearest.

    `limits` are those in force. Empty without any. Source: OpenAI API reference, "Rate limits in headers".
    """
    now = timezone.now()
    gauges = _gauges(limits, actor, now)
    headers: dict[str, str] = {}
    for metric in (Metric.REQUESTS, Metric.TOKENS):
        of_metric = [gauge for gauge in gauges if gauge.metric is metric]
        if nearest := min(of_metric, key=lambda gauge: gauge.left, default=None):
            headers[f"x-ratelimit-limit-{metric}"] = str(int(nearest.amount))
            headers[f"x-ratelimit-remaining-{metric}"] = str(max(0, int(nearest.left)))
            headers[f"x-ratelimit-reset-{metric}"] = quota.duration((nearest.resets_at or now) - now)
    return headers


def ledger_page(
    user_pk: int, *, since: datetime, until: datetime, after_pk: int = 0, n_rows: int = 1000
) -> list[LedgerEntry]:
    """A user's calls that began in a time, in the order in which they ended, after the entry `after_pk`.

    Those of battles come a day later: what one of them cost tells which model it was.
    """
    entries = LedgerEntry.objects.filter(user_id=user_pk, started_at__gte=since, started_at__lt=until, pk__gt=after_pk)
    entries = entries.exclude(endpoint=Endpoint.BATTLES, ended_at__gt=timezone.now() - BATTLES_WITHHELD_FOR)
    return list(entries.select_related("api_key").order_by("pk")[:n_rows])


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What somebody used of one model in a time."""

    model_name: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: Decimal


def usage_by_model(user_pk: int, *, since: datetime, until: datetime) -> list[ModelUsage]:
    """Sums of the user's ledger for each model, the most used first; those of battles in one, named `IN_BATTLES`.

    Battles come a day later, as in `ledger_page`: two looks at a sum would tell one side's tokens before the vote.
    """
    entries = LedgerEntry.objects.filter(user_id=user_pk, started_at__gte=since, started_at__lt=until)
    entries = entries.exclude(endpoint=Endpoint.BATTLES, ended_at__gt=timezone.now() - BATTLES_WITHHELD_FOR)
    told = Case(When(endpoint=Endpoint.BATTLES, then=Value(IN_BATTLES)), default=F("model_name"))
    sums = entries.values_list(told).annotate(
        Sum("requests"), Sum("prompt_tokens"), Sum("cached_tokens"), Sum("completion_tokens"), Sum("cost")
    )
    used = (ModelUsage(*row) for row in sums.order_by())
    return sorted(used, key=lambda usage: (-usage.cost, -usage.completion_tokens, usage.model_name))


def label_of(limit: Limit) -> str:
    """A limit in words, with whom it is for, such as `1,000 tokens a day for the group staff together`."""
    match Audience(limit.audience):
        case Audience.EVERYONE:
            who = "everyone together" if limit.is_shared else "each account"
        case Audience.VISITORS:
            who = "all visitors together" if limit.is_shared else "each visitor"
        case Audience.GROUP:
            who = f"the group {limit.group}" if limit.is_shared else f"each member of {limit.group}"
        case Audience.USER:
            who = f"the user {limit.user}"
        case Audience.KEY:
            who = f"the key {limit.api_key.name if limit.api_key else ''}"
    return f"{limit} for {who}"


def _gauges(limits: Sequence[Limit], actor: Actor, now: datetime) -> list[Gauge]:
    counters = _counters_now(limits, actor, now)
    return [gauge_of(limit, counters.get(limit.pk), now) for limit in limits]


def _counters_now(limits: Sequence[Limit], actor: Actor, now: datetime) -> dict[int, UsageCounter]:
    any_of = Q(pk__in=[])
    for limit in limits:
        start = quota.window_start(Period(limit.period), now)
        any_of |= Q(limit=limit, subject=subject_of(limit, actor), starts_at=start)
    return {counter.limit_id: counter for counter in UsageCounter.objects.filter(any_of)}


def _rule(limit: Limit) -> Rule:
    key = (limit.metric, limit.period, limit.model_name)
    return Rule(limit.pk, Audience(limit.audience), limit.is_shared, key, limit.amount)
