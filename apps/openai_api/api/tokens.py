"""How many tokens something has, as the model itself would read it."""

import asyncio
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.threads import in_thread
from apps.openai_api import forwarding
from apps.openai_api.api.door import AsyncDoor, body_of
from apps.openai_api.forwarding import call_for, request_for
from apps.openai_api.schema import bodies
from apps.openai_api.schema.describe import described
from apps.openai_api.shapes import TokenCheck, token_checks
from apps.workers import relay
from apps.workers.call import Call, WorkerPath
from apps.workers.selectors import model_get_offered


class Tokenize(AsyncDoor):
    """`POST /v1/tokenize`: the tokens of a chat or a text; of a chat also the text that the model reads.

    Source: vLLM, "Tokenizer API".
    """

    @described(
        "Tell the tokens of a chat or a text",
        name="tokenize_create",
        request=bodies.TOKENIZE_REQUEST,
        response=bodies.TOKENIZE_RESPONSE,
    )
    async def post(self, request: Request) -> Response:
        wanted = request_for(forwarding.TOKENIZE, await body_of(request))
        self.ignored_fields = wanted.ignored_fields
        return Response(await relay.complete(await in_thread(call_for, forwarding.TOKENIZE, self.actor, wanted)))


class TokenCheckDoor(AsyncDoor):
    """`POST /api/v1/token_check`: whether texts fit into a model's context with room for an answer.

    Source: FastChat, `APITokenCheckRequest` and `APITokenCheckResponse`.
    """

    @described(
        "Tell whether texts fit into a model's context",
        name="token_check_create",
        request=bodies.TOKEN_CHECK_REQUEST,
        response=bodies.TOKEN_CHECK_RESPONSE,
    )
    async def post(self, request: Request) -> Response:
        checks = token_checks(await body_of(request))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._checked(check)) for check in checks]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed  # the first failure cancels the others
        return Response({"prompts": [task.result() for task in tasks]})

    async def _checked(self, check: TokenCheck) -> dict[str, Any]:
        await in_thread(model_get_offered, self.actor, check.model)
        body = {"prompt": check.prompt}
        told = await relay.complete(Call(self.actor, check.model, body, WorkerPath.TOKENIZE))
        fits = told["count"] + check.max_tokens <= told["max_model_len"]
        return {"fits": fits, "tokenCount": told["count"], "contextLength": told["max_model_len"]}
