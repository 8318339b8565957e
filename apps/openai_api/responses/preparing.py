"""From a request to what is needed to answer it: the conversation before it, the chat, and the response to be filled.

It asks the database and no model.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from apps.accounts.actors import Actor
from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check
from apps.catalog.selectors import sight_check
from apps.openai_api import selectors
from apps.openai_api.models import ResponseState, StoredResponse, owner_fields
from apps.openai_api.responses.items import Prompt, prompt_of
from apps.openai_api.responses.request import ResponseRequest, chat_call
from apps.workers.call import Call
from apps.workers.images import image_urls
from apps.workers.selectors import model_get_offered


@dataclass(frozen=True, slots=True)
class Prepared:
    """A response that is not in the database yet, and the chat that answers it."""

    response: StoredResponse
    prompt: Prompt
    call: Call


def response_check(actor: Actor, wanted: ResponseRequest) -> None:
    """Whether it may be asked for at all, before anybody looks at it. Raises: EndpointNotAllowed, ModelUnknown,
    ModelWrongKind."""
    endpoint_check(actor, Endpoint.RESPONSES)
    model_get_offered(actor, wanted.model)


def response_prepare(actor: Actor, wanted: ResponseRequest, *, public_id: UUID | None = None) -> Prepared:
    """After `response_check`. `public_id`: under which it was looked at.

    Raises: PreviousResponseNotFound, ModelSeesNothing, InvalidRequest.
    """
    ancestors: list[int] = []
    if wanted.previous_id is not None:
        previous = selectors.previous_get(actor, wanted.previous_id)
        ancestors = [*previous.ancestors, previous.pk]
    response = StoredResponse(
        **owner_fields(actor),
        public_id=public_id or uuid4(),
        ancestors=ancestors,
        model_name=wanted.model,
        repeated=wanted.repeated,
        options=wanted.options if wanted.is_background else {},
        items=wanted.items,
        is_background=wanted.is_background,
        state=ResponseState.QUEUED if wanted.is_background else ResponseState.IN_PROGRESS,
    )
    prompt = _prompt(actor, response)
    return Prepared(response, prompt, chat_call(actor, wanted.model, prompt, wanted.options))


def actor_of(response: StoredResponse) -> Actor:
    """Whoever asked for it."""
    return Actor(user_id=response.user_id, api_key_id=response.api_key_id)


def response_resume(response: StoredResponse) -> Prepared:
    """One that was kept to be answered in the background. Raises: as `response_check` and `response_prepare`."""
    actor = actor_of(response)
    model_get_offered(actor, response.model_name)
    prompt = _prompt(actor, response)
    return Prepared(response, prompt, chat_call(actor, response.model_name, prompt, response.options))


def _prompt(actor: Actor, response: StoredResponse) -> Prompt:
    context = selectors.context_items(actor, response.ancestors) if response.ancestors else []
    prompt = prompt_of(response.items, instructions=response.repeated["instructions"], context=context)
    if image_urls(prompt.messages):
        sight_check(response.model_name)
    return prompt
