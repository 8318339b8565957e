"""The HTTP surface: OpenAI's moderation endpoint, and whether it is there. One request is judged after the other.

Source: OpenAI API reference, "Create moderation".
"""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpu_worker.classification.model import LoadedClassifier
from gpu_worker.errors import WorkerError, invalid, unsupported
from gpu_worker.protocol import Json, WorkerErrorCode
from gpu_worker.server.app import ERROR_HANDLERS, TokenGuard, read_call
from gpu_worker.server.fields import Fields, checked_text, kind
from gpu_worker.server.replies import JsonReply

MAX_TEXTS = 32
MAX_WAITING = 32
"""Requests; more are refused with 503, and the site goes by its policy for what is unchecked."""


def build_app(classifier: LoadedClassifier, *, threshold: float, access_token: str) -> Starlette:
    """`threshold`: from which score on a text is in a category. `access_token`: empty for none."""
    endpoints = _Endpoints(classifier, threshold)
    guards = [Middleware(TokenGuard, access_token=access_token)] if access_token else []
    app = Starlette(
        routes=[
            Route("/health", endpoints.health),
            Route("/v1/moderations", endpoints.moderations, methods=["POST"]),
        ],
        middleware=guards,
        exception_handlers=ERROR_HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    def __init__(self, classifier: LoadedClassifier, threshold: float) -> None:
        self._classifier = classifier
        self._threshold = threshold
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="classify")
        self._n_waiting = 0

    async def health(self, request: Request) -> Response:
        return JsonReply({"status": "ok", "model": self._classifier.name})

    async def moderations(self, request: Request) -> Response:
        texts = await read_call(request, self._texts)
        if self._n_waiting >= MAX_WAITING:
            raise WorkerError(WorkerErrorCode.OVERLOADED, f"{MAX_WAITING} requests wait already")
        self._n_waiting += 1
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._classifier.scores, texts)
        finally:
            self._n_waiting -= 1
        results = [self._result(of_text) for of_text in scores]
        return JsonReply({"id": f"modr-{uuid.uuid4().hex}", "model": self._classifier.name, "results": results})

    def _texts(self, body: Json) -> list[str]:
        """Raises: WorkerError (invalid_request) that names the field."""
        fields = Fields(body)
        if fields.get("model") not in (None, self._classifier.name):
            raise invalid("model", f"expected {self._classifier.name!r}, or nothing")
        value = fields.get("input")
        texts = value if isinstance(value, list) else [value]
        if not 1 <= len(texts) <= MAX_TEXTS:
            raise invalid("input", f"expected a text or a list of 1 to {MAX_TEXTS}")
        return [_text(text, f"input[{index}]") for index, text in enumerate(texts)]

    def _result(self, scores: dict[str, float]) -> Json:
        categories = {category: score >= self._threshold for category, score in scores.items()}
        return {
            "flagged": any(categories.values()),
            "categories": categories,
            "category_scores": scores,
            "category_applied_input_types": {category: ["text"] for category in categories},
        }


def _text(value: object, place: str) -> str:
    if isinstance(value, dict) and value.get("type") == "text":
        value = value.get("text")
    if isinstance(value, dict) and value.get("type") == "image_url":
        raise unsupported(place, "images are not judged by this model")
    if not isinstance(value, str):
        raise invalid(place, f"expected a text, found {kind(value)}")
    return checked_text(value, place)
