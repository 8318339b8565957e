"""`/v1/batches`: many requests that may take their time."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check
from apps.openai_api import selectors
from apps.openai_api.api.door import SyncDoor
from apps.openai_api.schema import stored
from apps.openai_api.schema.describe import described
from apps.openai_api.services import batches
from apps.openai_api.stored_shapes import batch_object, batch_request, list_object
from apps.openai_api.tasks import nudge

PAGE = 20


class BatchDoor(SyncDoor):
    """For keys that may be used for batches."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        endpoint_check(self.actor, Endpoint.BATCHES)


class BatchList(BatchDoor):
    """`GET` and `POST /v1/batches`"""

    @described("List your batches", name="batches_list", tag="Batches", response=stored.BATCHES, query=stored.PAGE)
    def get(self, request: Request) -> Response:
        limit = selectors.page_limit(request.GET.get("limit"), PAGE)
        page, has_more = selectors.batches_page(self.actor, after=request.GET.get("after"), limit=limit)
        return Response(list_object([batch_object(batch) for batch in page], has_more=has_more))

    @described(
        "Start a batch", name="batches_create", tag="Batches", request=stored.BATCH_REQUEST, response=stored.BATCH
    )
    def post(self, request: Request) -> Response:
        wanted = batch_request(request.data)
        self.ignored_fields = wanted.ignored_fields
        batch = batches.batch_create(
            actor=self.actor,
            endpoint=wanted.endpoint,
            input_file=selectors.file_get(self.actor, wanted.input_file_id),
            metadata=wanted.metadata,
        )
        nudge(batch.pk)
        return Response(batch_object(batch))


class BatchDetail(BatchDoor):
    """`GET /v1/batches/{batch_id}`"""

    @described(
        "Tell how a batch goes", name="batches_retrieve", tag="Batches", response=stored.BATCH, path=stored.BATCH_PATH
    )
    def get(self, request: Request, batch_id: str) -> Response:
        return Response(batch_object(selectors.batch_get(self.actor, batch_id)))


class BatchCancel(BatchDoor):
    """`POST /v1/batches/{batch_id}/cancel`"""

    @described(
        "Cancel a batch and keep what is answered",
        name="batches_cancel",
        tag="Batches",
        response=stored.BATCH,
        path=stored.BATCH_PATH,
        conflict="It has ended.",
    )
    def post(self, request: Request, batch_id: str) -> Response:
        batch = batches.batch_cancel(selectors.batch_get(self.actor, batch_id))
        nudge(batch.pk)
        return Response(batch_object(batch))
