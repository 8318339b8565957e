"""Conversations that are a side of a battle. Whoever calls has asked whose they are and who may: `apps.arena` does."""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from apps.accounts.errors import LimitExceeded
from apps.accounts.models import Endpoint
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.models import Conversation, GenerationState, Purpose
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.reading import call_body, reading_job_get
from apps.conversations.services.generations import generation_finish
from apps.conversations.services.turns import Turn, answer_begin, question_create
from apps.conversations.texts import title_from
from apps.core.errors import SiteError
from apps.core.threads import in_thread
from apps.workers.call import Call
from apps.workers.metering import reserve_together

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SideOwner:
    """Whose it is, as in a conversation's row."""

    user_id: int | None
    visitor_id: int | None
    api_key_id: int | None


def side_create(owner: SideOwner, *, text: str, settings: ChatSettings) -> Conversation:
    """An empty one, named after the first message. `settings`: how the side is asked all through the battle."""
    return Conversation.objects.create(
        purpose=Purpose.BATTLE_SIDE,
        user_id=owner.user_id,
        visitor_id=owner.visitor_id,
        api_key_id=owner.api_key_id,
        title=title_from(text),
        system_prompt=settings.system_prompt,
        sampling=settings.sampling,
        updated_at=timezone.now(),
    )


def side_ask(*, conversation: Conversation, model: LanguageModel, text: str) -> Turn:
    """Add a message and the empty answer to it. The database refuses a second unfinished answer."""
    question = question_create(conversation, conversation.active_leaf_id, text)
    answer, generation = answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation)


async def sides_reserve(generation_ids: tuple[UUID, UUID]) -> None:
    """Reserve for both answers of a turn before either is read; a limit that does not allow both ends both.

    What else is wrong with one of them its reader will find, and say so of that one.
    """
    try:
        await reserve_together(await in_thread(_calls, generation_ids))
    except LimitExceeded as exc:
        await in_thread(_end_both, generation_ids, Failure.of(exc))
    except SiteError as exc:
        logger.info("the sides %s and %s are not reserved together: %s", *generation_ids, exc)


def _calls(generation_ids: tuple[UUID, UUID]) -> list[tuple[Call, UUID]]:
    jobs = [job for job in map(reading_job_get, generation_ids) if job is not None]
    return [
        (
            Call(
                job.owner,
                job.model_name,
                call_body(job.conversation_pk, before=job.generation_id),
                asked_at=Endpoint.BATTLES,
            ),
            job.generation_id,
        )
        for job in jobs
    ]


def _end_both(generation_ids: tuple[UUID, UUID], failure: Failure) -> None:
    for generation_id in generation_ids:
        generation_finish(generation_id, Outcome(GenerationState.FAILED, error=failure), "")
