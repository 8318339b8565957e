"""`/v1/moderations`: what the site's own rules and classifier say of texts."""

import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check
from apps.core.threads import in_thread
from apps.moderation.assessment import assessed, assessor, name_of
from apps.moderation.classifier import Judgement
from apps.openai_api.api.door import AsyncDoor, body_of
from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.known_fields import ignored
from apps.openai_api.metering import counted, limits_told
from apps.openai_api.schema import moderations as schema
from apps.openai_api.schema.describe import described
from apps.openai_api.shapes import Json, json_object

MAX_TEXTS = 32
KNOWN = frozenset({"input", "model"})
MODELS = ("omni-moderation-latest", "text-moderation-latest", "text-moderation-stable")
"""OpenAI's names, which programs send by themselves. Here they mean what the site has."""


class Moderations(AsyncDoor):
    """`POST /v1/moderations`"""

    @described(
        "Judge texts by the site's rules",
        name="moderations_create",
        tag="Moderation",
        request=schema.REQUEST,
        response=schema.RESPONSE,
    )
    async def post(self, request: Request) -> Response:
        body = json_object(await body_of(request))
        self.ignored_fields = ignored(body, KNOWN)
        await in_thread(endpoint_check, self.actor, Endpoint.MODERATIONS)
        texts = _texts(body.get("input"))
        rules = await assessor()
        model = name_of(rules)
        if body.get("model") not in (None, model, *MODELS):
            raise InvalidRequest(reason=f"'model' must be {model!r}, or be left out", param="model")
        async with counted(self.actor, endpoint=Endpoint.MODERATIONS, answerer=model) as call:
            judgements = await assessed(rules, texts)
        results = [_result(judgement) for judgement in judgements]
        told = {"id": f"modr-{uuid.uuid4().hex}", "model": model, "results": results}
        return Response(told, headers=await limits_told(self.actor, call.limits))


def _texts(value: object) -> list[str]:
    """Raises: InvalidRequest."""
    items = value if isinstance(value, list) else [value]
    if value is None:
        raise InvalidRequest(reason="'input' is missing", param="input", api_code="missing_required_parameter")
    if not 1 <= len(items) <= MAX_TEXTS:
        raise InvalidRequest(reason=f"'input' must be a text or a list of 1 to {MAX_TEXTS}", param="input")
    return [_text(item, f"input[{index}]") for index, item in enumerate(items)]


def _text(item: object, path: str) -> str:
    if isinstance(item, dict) and item.get("type") == "image_url":
        raise unsupported(f"{path}.type", "images are not judged here")
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise InvalidRequest(reason=f"'{path}' must be a text", param=path)
    return text


def _result(judgement: Judgement) -> Json:
    """Source: OpenAI API reference, "The moderation object"; without categories that nobody has judged."""
    return {
        "flagged": any(judgement.categories.values()),
        "categories": judgement.categories,
        "category_scores": judgement.scores,
        "category_applied_input_types": {name: ["text"] for name in judgement.categories},
    }
