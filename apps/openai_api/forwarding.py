"""From a checked body to a call of the pool: what each endpoint needs, knows, and asks of a model.

Used by the doors for one request and by batches for many. It asks nobody anything but whether the model is offered.
"""

from dataclasses import dataclass

from apps.accounts.actors import Actor
from apps.catalog.errors import ModelSeesNothing
from apps.catalog.models import Kind
from apps.openai_api import known_fields
from apps.openai_api.batch_input import RESPONSES
from apps.openai_api.shapes import ModelRequest, model_request
from apps.workers.call import Call, WorkerPath
from apps.workers.images import image_urls
from apps.workers.selectors import model_get_offered


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`needs`: the fields of which one must be there."""

    path: WorkerPath
    needs: tuple[str, ...]
    known: frozenset[str]
    kind: Kind = Kind.TEXT


CHAT = Endpoint(WorkerPath.CHAT_COMPLETIONS, ("messages",), known_fields.CHAT)
COMPLETION = Endpoint(WorkerPath.COMPLETIONS, ("prompt",), known_fields.COMPLETION)
EMBEDDING = Endpoint(WorkerPath.EMBEDDINGS, ("input",), known_fields.EMBEDDING, Kind.EMBEDDING)
TOKENIZE = Endpoint(WorkerPath.TOKENIZE, ("messages", "prompt"), known_fields.TOKENIZE)

BATCHABLE = {str(endpoint.path): endpoint for endpoint in (CHAT, COMPLETION, EMBEDDING)}
BATCH_ENDPOINTS = (*BATCHABLE, RESPONSES)
"""Of lines in a batch. A response is more than a call: see `batch_answers`."""


def request_for(endpoint: Endpoint, body: object) -> ModelRequest:
    """Raises: InvalidRequest, naming the field."""
    return model_request(body, needs=endpoint.needs, known=endpoint.known)


def call_for(endpoint: Endpoint, actor: Actor, wanted: ModelRequest) -> Call:
    """Asks the database. Raises: ModelUnknown, ModelWrongKind, ModelSeesNothing."""
    offered = model_get_offered(actor, wanted.model, endpoint.kind)
    if image_urls(wanted.body.get("messages")) and not offered.sees_images:
        raise ModelSeesNothing(model=wanted.model)
    return Call(actor, wanted.model, wanted.body, endpoint.path, offered=offered)
