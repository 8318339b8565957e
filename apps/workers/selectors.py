"""Reads of the pool: what is offered, and who could serve it."""

import logging
import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.catalog.errors import ModelUnknown
from apps.catalog.models import Kind, LanguageModel
from apps.catalog.selectors import model_get_visible, models_visible
from apps.core.errors import SiteError
from apps.core.sealing import SecretUnreadable
from apps.workers.errors import ModelFailed, ModelLoading, NoWorker, ProviderResting, WorkerDied
from apps.workers.models import RENEWED_WITHIN, HostedModel, HostedState, PoolRequest, RequestState, Worker
from apps.workers.target import Target, Upstream

logger = logging.getLogger(__name__)


class Offer(StrEnum):
    """What a person sees beside a model's name."""

    READY = "ready"
    LOADING = "loading"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model as a picker shows it. `progress` is the share of weights loaded, 0 to 1, while it loads."""

    name: str
    kind: Kind
    display_name: str
    description: str
    state: Offer
    progress: float | None
    context_length: int | None
    sees_images: bool
    organisation: str
    created_at: datetime
    is_default: bool


def models_offered(actor: Actor, kind: Kind | None = Kind.TEXT) -> list[OfferedModel]:
    """Every visible model of this kind (None: of all) with its state in the pool, in two queries.

    The default is the first that is ready.
    """
    live = HostedModel.objects.filter(worker__in=Worker.objects.alive())
    visible = models_visible(actor) if kind is None else models_visible(actor).filter(kind=kind)
    models = list(visible.prefetch_related(Prefetch("hosted", queryset=live, to_attr="live")))
    states = [_offer(model) for model in models]
    default = next((i for i, (state, _) in enumerate(states) if state is Offer.READY), 0)
    return [
        OfferedModel(
            name=model.name,
            kind=Kind(model.kind),
            display_name=str(model),
            description=model.description,
            state=state,
            progress=progress,
            context_length=model.context_length,
            sees_images=model.sees_images,
            organisation=model.organisation,
            created_at=model.created_at,
            is_default=i == default,
        )
        for i, (model, (state, progress)) in enumerate(zip(models, states, strict=True))
    ]


def model_get_offered(actor: Actor, name: str, kind: Kind = Kind.TEXT) -> LanguageModel:
    """A model without a worker is still offered: asking for it says what is missing.

    Raises: ModelUnknown, ModelWrongKind.
    """
    return model_get_visible(actor, name, kind)


def offered_get(actor: Actor, name: str) -> OfferedModel:
    """One model of any kind as `models_offered` has it. Raises: ModelUnknown."""
    found = next((model for model in models_offered(actor, None) if model.name == name), None)
    if found is None:
        raise ModelUnknown(model=name)
    return found


def workers_with_models() -> QuerySet[Worker]:
    """Every worker, also the removed ones, with what it hosts, in two queries."""
    hosted = HostedModel.objects.select_related("model").order_by("model__name")
    return Worker.objects.prefetch_related(Prefetch("hosted", queryset=hosted))


def hosts_serving(model_name: str, *, for_update: bool = False, only_ours: bool = False) -> list[HostedModel]:
    """The model on live workers that have it loaded and take new work, with these workers; their rows are locked until
    the transaction ends if `for_update`. `only_ours`: no providers.

    Raises: NoWorker, ModelLoading, ModelFailed; ProviderResting when there are only providers that rest.
    """
    serving = _taking(model_name).filter(state=HostedState.LOADED).select_related("worker").order_by("worker_id")
    if only_ours:
        serving = serving.filter(worker__kind="")
    # In the order of their keys, so that two of these never wait for each other.
    hosts = list(serving.select_for_update(of=("worker",)) if for_update else serving)
    now = timezone.now()
    resting = {host.worker_id: until for host in hosts if (until := host.worker.resting_until(now)) is not None}
    if awake := [host for host in hosts if host.worker_id not in resting]:
        return awake
    if resting:
        wait_s = (min(resting.values()) - now).total_seconds()
        raise ProviderResting(model=model_name, retry_after_s=max(1, math.ceil(wait_s)))
    raise _why_nobody(model_name)


def room_of(worker: Worker, now: datetime, *, besides: int | None = None) -> int | None:
    """How many more requests a provider's limits let it have now, all models together; None is any number.

    `besides`: the request that the room is for, which takes no second place where it has one already.
    What it says holds for as long as the worker's row is locked.
    """
    if not worker.is_provider:
        return None
    n_running = 0
    if worker.max_running is not None:
        running = PoolRequest.objects.filter(worker=worker, state=RequestState.RUNNING)
        others = running if besides is None else running.exclude(pk=besides)
        n_running = others.filter(renewed_at__gt=now - RENEWED_WITHIN).count()
    return worker.limits.room(worker.minute, now, n_running)


def model_has_provider(model_name: str) -> bool:
    """Whether somebody else's server may read its prompts, also one that rests just now."""
    return HostedModel.objects.filter(model__name=model_name, worker__removed_at=None).exclude(worker__kind="").exists()


def model_ids_ready() -> QuerySet[HostedModel, int]:
    """Keys of the models that some worker would begin to answer with now."""
    now = timezone.now()
    awake = _workers_taking().filter(Q(rests_until=None) | Q(rests_until__lte=now))
    return HostedModel.objects.filter(worker__in=awake, state=HostedState.LOADED).values_list("model_id", flat=True)


def _taking(model_name: str) -> QuerySet[HostedModel]:
    return HostedModel.objects.filter(model__name=model_name, worker__in=_workers_taking())


def _workers_taking() -> QuerySet[Worker]:
    return Worker.objects.alive().filter(is_drained=False, is_leaving=False)


def _why_nobody(model_name: str) -> SiteError:
    taking = list(_taking(model_name))
    if loading := [h for h in taking if h.state == HostedState.LOADING]:
        best = max(h.progress or 0.0 for h in loading)
        return ModelLoading(model=model_name, percent=round(100 * best))
    if failed := [h for h in taking if h.state == HostedState.FAILED]:
        return ModelFailed(model=model_name, reason=failed[0].error)
    return NoWorker(model=model_name)


def prompt_fields(model_name: str) -> dict[str, str]:
    """What a request to a worker says about the prompt, as the admins chose for this model."""
    model = LanguageModel.objects.filter(name=model_name).only("prompt_template").first()
    return {} if model is None else prompt_fields_of(model)


def prompt_fields_of(model: LanguageModel) -> dict[str, str]:
    """As `prompt_fields`, of a model that is at hand."""
    return {"prompt_template": model.prompt_template} if model.prompt_template else {}


def target_load(worker_pk: int) -> Target:
    """Where and how to reach a worker with an answer that it gives. Raises: WorkerDied when its row is gone."""
    worker = Worker.objects.filter(pk=worker_pk).first()
    if worker is None:
        raise WorkerDied
    return target_of(worker)


def target_of(worker: Worker, hosted: HostedModel | None = None) -> Target:
    """How to reach a worker. A provider knows the model by another name, and without `hosted` can be asked for none."""
    try:
        token = worker.access_token
    except SecretUnreadable as exc:
        # It refuses the call without a token, which is then made elsewhere: one worker must not stop the queue of all.
        logger.error("worker %s is called without its token: %s", worker.pk, exc.message)
        token = ""
    upstream = None
    if worker.is_provider:
        name, longest = ("", None) if hosted is None else (hosted.upstream_name, hosted.longest_answer)
        upstream = Upstream(worker.kind, name, longest)
    return Target(worker_id=worker.pk, base_url=worker.base_url, access_token=token, upstream=upstream)


def target_at(host: HostedModel) -> Target:
    """How to reach the worker with this model. Asks the database for nothing if `host.worker` is at hand."""
    return target_of(host.worker, host)


def _offer(model: LanguageModel) -> tuple[Offer, float | None]:
    live: list[HostedModel] = model.live  # type: ignore[attr-defined]  # set by the prefetch above
    if any(h.state == HostedState.LOADED for h in live):
        return Offer.READY, None
    if loading := [h for h in live if h.state == HostedState.LOADING]:
        return Offer.LOADING, max(h.progress or 0.0 for h in loading)
    return Offer.UNAVAILABLE, None
