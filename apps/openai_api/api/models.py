"""`/v1/models`: what the key may use."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.openai_api.api.door import SyncDoor
from apps.openai_api.schema import bodies
from apps.openai_api.schema.describe import described
from apps.openai_api.shapes import model_object
from apps.workers.selectors import models_offered, offered_get


class ModelList(SyncDoor):
    """`GET /v1/models`"""

    @described("List the models that the key may use", name="models_list", response=bodies.MODELS_RESPONSE)
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [model_object(m) for m in models_offered(self.actor, None)]})


class ModelDetail(SyncDoor):
    """`GET /v1/models/{name}`; names may hold slashes."""

    @described(
        "Tell about one model",
        name="models_retrieve",
        response=bodies.MODEL_RESPONSE,
        path={"name": "The name of a model; it may hold slashes."},
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(model_object(offered_get(self.actor, name)))
