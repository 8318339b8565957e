"""Reads of the pool: what is offered, and who could serve it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Prefetch
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.catalog.errors import ModelUnknown
from apps.catalog.models import LanguageModel
from apps.catalog.selectors import model_get_visible, models_visible
from apps.workers.dispatch import Candidate
from apps.workers.errors import ModelFailed, ModelLoading, NoWorker, WorkerDied
from apps.workers.models import HostedModel, HostedState, Worker
from apps.workers.target import Target


class Offer(StrEnum):
    """What a person sees beside a model's name."""

    READY = "ready"
    LOADING = "loading"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model as a picker shows it. `progress` is the share of weights loaded, 0 to 1, while it loads."""

    name: str
    display_name: str
    description: str
    state: Offer
    progress: float | None
    context_length: int | None
    organisation: str
    created_at: datetime
    is_default: bool


def models_offered(actor: Actor) -> list[OfferedModel]:
    """Every visible model with its state in the pool, in two queries. The default is the first that is ready."""
    live = HostedModel.objects.filter(worker__in=Worker.objects.alive())
    models = list(models_visible(actor).prefetch_related(Prefetch("hosted", queryset=live, to_attr="live")))
    states = [_offer(model) for model in models]
    default = next((i for i, (state, _) in enumerate(states) if state is Offer.READY), 0)
    return [
        OfferedModel(
            name=model.name,
            display_name=str(model),
            description=model.description,
            state=state,
            progress=progress,
            context_length=model.context_length,
            organisation=model.organisation,
            created_at=model.created_at,
            is_default=i == default,
        )
        for i, (model, (state, progress)) in enumerate(zip(models, states, strict=True))
    ]


def model_get_offered(actor: Actor, name: str) -> LanguageModel:
    """Raises: ModelUnknown. A model without a worker is still offered: asking for it says what is missing."""
    return model_get_visible(actor, name)


def offered_get(actor: Actor, name: str) -> OfferedModel:
    """One model as `models_offered` has it. Raises: ModelUnknown."""
    found = next((model for model in models_offered(actor) if model.name == name), None)
    if found is None:
        raise ModelUnknown(model=name)
    return found


def candidates(model_name: str) -> list[Candidate]:
    """Live workers that have the model loaded and take new work.

    Raises: NoWorker, ModelLoading, ModelFailed.
    """
    hosted = list(
        HostedModel.objects.filter(model__name=model_name, worker__in=Worker.objects.alive()).select_related("worker")
    )
    taking = [h for h in hosted if not h.worker.is_drained and not h.worker.is_leaving]
    now = timezone.now()
    loaded = [
        Candidate(
            worker_id=h.worker.pk,
            queue=h.worker.reported_queue + h.worker.assigned_since_report,
            speed=h.worker.speed,
            is_cooling=h.worker.cooling_until is not None and h.worker.cooling_until > now,
        )
        for h in taking
        if h.state == HostedState.LOADED
    ]
    if loaded:
        return loaded
    if loading := [h for h in taking if h.state == HostedState.LOADING]:
        best = max(h.progress or 0.0 for h in loading)
        raise ModelLoading(model=model_name, percent=round(100 * best))
    if failed := [h for h in taking if h.state == HostedState.FAILED]:
        raise ModelFailed(model=model_name, reason=failed[0].error)
    raise NoWorker(model=model_name)


def prompt_fields(model_name: str) -> dict[str, str]:
    """What a request to a worker says about the prompt, as the admins chose for this model."""
    chosen = LanguageModel.objects.filter(name=model_name).values_list("prompt_template", flat=True).first()
    return {"prompt_template": chosen} if chosen else {}


def target_load(worker_pk: int) -> Target:
    """Where and how to reach a worker. Raises: WorkerDied when its row is gone."""
    worker = Worker.objects.filter(pk=worker_pk).first()
    if worker is None:
        raise WorkerDied
    return Target(worker_id=worker.pk, base_url=worker.base_url, access_token=worker.access_token)


def _offer(model: LanguageModel) -> tuple[Offer, float | None]:
    live: list[HostedModel] = model.live  # type: ignore[attr-defined]  # set by the prefetch above
    if any(h.state == HostedState.LOADED for h in live):
        return Offer.READY, None
    if loading := [h for h in live if h.state == HostedState.LOADING]:
        return Offer.LOADING, max(h.progress or 0.0 for h in loading)
    return Offer.UNAVAILABLE, None
