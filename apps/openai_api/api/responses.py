"""`/v1/responses`: answers that are kept, continued, and may be worked on in the background."""

import logging
from uuid import uuid4

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check, limits_in_force
from apps.core.errors import SiteError
from apps.core.threads import in_thread
from apps.openai_api import selectors
from apps.openai_api.api.door import AsyncDoor, SyncDoor, begun, body_of, event_stream
from apps.openai_api.api.generation import end_user_note, limit_headers
from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.models import StoredResponse
from apps.openai_api.moderation import response_pass
from apps.openai_api.opening import Opening
from apps.openai_api.responses import streaming
from apps.openai_api.responses.options import included
from apps.openai_api.responses.preparing import Prepared, response_check, response_prepare
from apps.openai_api.responses.request import refused_here, response_request
from apps.openai_api.responses.shapes import item_list, response_id, response_object
from apps.openai_api.responses.watching import Watch
from apps.openai_api.schema import responses as schema
from apps.openai_api.schema.describe import described
from apps.openai_api.services import responses
from apps.openai_api.shapes import query_flag
from apps.openai_api.tasks import responses_nudge
from apps.workers import relay
from apps.workers.errors import WorkerRefused

PAGE = 20
MAX_EVENT_DIGITS = 9

logger = logging.getLogger(__name__)


class ResponseList(AsyncDoor):
    """`POST /v1/responses`"""

    @described(
        "Make a response",
        name="responses_create",
        tag="Responses",
        request=schema.REQUEST,
        response=schema.RESPONSE,
        is_streamed=True,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        wanted = response_request(await body_of(request))
        self.ignored_fields = wanted.ignored_fields
        end_user_note(wanted.end_user)
        await in_thread(response_check, self.actor, wanted)
        public_id = uuid4()
        reference = response_id(public_id) if wanted.is_kept else None  # else the request's
        wanted = await response_pass(wanted, self.actor, reference=reference)
        prepared = await in_thread(response_prepare, self.actor, wanted, public_id=public_id)
        if wanted.is_background:
            return await self._queued(prepared, is_stream=wanted.is_stream)
        return await self._answered(prepared, is_stream=wanted.is_stream, is_kept=wanted.is_kept)

    async def _queued(self, prepared: Prepared, *, is_stream: bool) -> HttpResponseBase:
        response = prepared.response
        # A job will be let in, later: what it must keep is known already.
        prepared.call.limits[:] = await in_thread(limits_in_force, self.actor, prepared.call.model)
        await in_thread(responses.response_queue, self.actor, response)
        await in_thread(responses_nudge)
        headers = await limit_headers(prepared.call)
        if is_stream:
            return event_stream(Watch(response).frames(), headers)
        return Response(response_object(response), headers=headers)

    async def _answered(self, prepared: Prepared, *, is_stream: bool, is_kept: bool) -> HttpResponseBase:
        if not is_stream:
            shown = await streaming.answer_whole(prepared, is_kept=is_kept)
            return Response(shown, headers=await limit_headers(prepared.call))

        async def kept_with_headers() -> dict[str, str]:
            if is_kept:
                await streaming.begin(prepared.response)
            return await limit_headers(prepared.call)

        opening = Opening(prepared.call, reference=response_id(prepared.response.public_id) if is_kept else None)
        try:
            headers = await begun(opening, kept_with_headers)
        except WorkerRefused as exc:
            raise refused_here(exc, prepared.prompt) from exc
        return event_stream(streaming.frames(prepared, opening), headers)


class KeptDoor(AsyncDoor):
    """For what asks after a response that was kept."""

    async def response_of(self, response_id: str) -> StoredResponse:
        def found() -> StoredResponse:
            endpoint_check(self.actor, Endpoint.RESPONSES)
            return selectors.response_get(self.actor, response_id)

        return await in_thread(found)

    async def stop(self, response: StoredResponse) -> None:
        """At its worker, at once; whoever works on it would notice a little later."""
        if response.worker_id is None:
            return
        try:
            await relay.cancel(await relay.target_get(response.worker_id), response.public_id)
        except SiteError as exc:
            logger.warning("%s is left to its runner to be cancelled: %s", response, exc)


class ResponseDetail(KeptDoor):
    """`GET` and `DELETE /v1/responses/{response_id}`"""

    @described(
        "Tell a response, or stream it again",
        name="responses_retrieve",
        tag="Responses",
        response=schema.RESPONSE,
        path=schema.PATH,
        query=schema.QUERY,
        is_streamed=True,
    )
    async def get(self, request: Request, response_id: str) -> HttpResponseBase:
        included(request.GET.getlist("include") + request.GET.getlist("include[]"))
        if query_flag(request.GET, "include_obfuscation"):
            raise unsupported("include_obfuscation", "it is not supported here")
        is_stream = query_flag(request.GET, "stream")
        after = _event_number(request.GET.get("starting_after"))
        response = await self.response_of(response_id)
        if not is_stream:
            return Response(response_object(response))
        watch = Watch(response, after=after)
        await watch.open()
        return event_stream(watch.frames(), {})

    @described("Delete a response", name="responses_delete", tag="Responses", response=schema.DELETED, path=schema.PATH)
    async def delete(self, request: Request, response_id: str) -> Response:
        response = await self.response_of(response_id)
        await in_thread(responses.response_delete, response)
        if not response.is_ended:
            await self.stop(response)
        return Response({"id": response_id, "object": "response", "deleted": True})


class ResponseCancel(KeptDoor):
    """`POST /v1/responses/{response_id}/cancel`"""

    @described(
        "Cancel a response in the background",
        name="responses_cancel",
        tag="Responses",
        response=schema.RESPONSE,
        path=schema.PATH,
    )
    async def post(self, request: Request, response_id: str) -> Response:
        response = await self.response_of(response_id)
        was_ended = response.is_ended
        response = await in_thread(responses.response_cancel, response)
        if not was_ended:
            await self.stop(response)
        return Response(response_object(response))


class ResponseInputItems(SyncDoor):
    """`GET /v1/responses/{response_id}/input_items`"""

    @described(
        "List what a response answers",
        name="responses_input_items_list",
        tag="Responses",
        response=schema.ITEMS,
        path=schema.PATH,
        query=schema.ITEMS_QUERY,
    )
    def get(self, request: Request, response_id: str) -> Response:
        included(request.GET.getlist("include") + request.GET.getlist("include[]"))
        order = request.GET.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest(reason="'order' must be 'asc' or 'desc'", param="order")
        limit = selectors.page_limit(request.GET.get("limit"), PAGE)
        endpoint_check(self.actor, Endpoint.RESPONSES)
        response = selectors.response_get(self.actor, response_id)
        items = selectors.context_items(self.actor, response.ancestors, is_whole=False) + response.items
        return Response(
            item_list(items if order == "asc" else items[::-1], after=request.GET.get("after"), limit=limit)
        )


def _event_number(text: str | None) -> int:
    """-1 for before the first. Raises: InvalidRequest."""
    if text is None:
        return -1
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_EVENT_DIGITS):
        raise InvalidRequest(reason="'starting_after' must be the number of an event", param="starting_after")
    return int(text)
