"""What a line of a batch is answered: as its endpoint answers a request alone, behind everybody who waits for one.

A line may be tried again for hours. The gate looks at it the first time; what passed takes the place of what was sent.
"""

from dataclasses import replace

from apps.accounts.actors import Actor
from apps.core.threads import in_thread
from apps.moderation import gate
from apps.openai_api.batch_input import RESPONSES
from apps.openai_api.forwarding import BATCHABLE, call_for, request_for
from apps.openai_api.models import BatchLine
from apps.openai_api.moderation import answer_gate, call_pass, response_pass
from apps.openai_api.responses.preparing import response_check, response_prepare
from apps.openai_api.responses.request import response_request
from apps.openai_api.responses.streaming import answer_whole
from apps.openai_api.services.batches import line_passed
from apps.openai_api.shapes import Json
from apps.workers import relay

PRIORITY = 50
"""At the worker, behind everybody who waits for an answer. Lower goes first; people have 0."""


async def line_answered(line: BatchLine, endpoint: str, actor: Actor) -> Json:
    """What moderation does meanwhile is added to `line.notes`. Raises: whatever the endpoint would."""
    with gate.noting(line.notes):
        if endpoint == RESPONSES:
            return await _response(line, actor)
        return await _completion(line, endpoint, actor)


async def _completion(line: BatchLine, endpoint: str, actor: Actor) -> Json:
    kind = BATCHABLE[endpoint]
    call = await in_thread(call_for, kind, actor, request_for(kind, line.body))
    if not line.is_passed:
        call = await call_pass(call)
        await _note_passed(line, call.body)
    call = replace(call, body=call.body | {"priority": PRIORITY})
    return await answer_gate(actor).whole(await relay.complete(call))


async def _response(line: BatchLine, actor: Actor) -> Json:
    wanted = response_request(line.body)
    await in_thread(response_check, actor, wanted)
    if not line.is_passed:
        wanted = await response_pass(wanted, actor)
        await _note_passed(line, wanted.body)
    prepared = await in_thread(response_prepare, actor, wanted)
    prepared.call.body["priority"] = PRIORITY
    return await answer_whole(prepared, is_kept=wanted.is_kept)


async def _note_passed(line: BatchLine, body: Json) -> None:
    """Where nobody looks there is nothing to note, and a line costs one write less."""
    if await gate.looks():
        await in_thread(line_passed, line, body)
