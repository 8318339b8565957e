"""Speaks the part of vLLM's completions API that the worker uses. Its words depend on prompt, seed and place alone.

It takes vLLM's options and refuses what vLLM would refuse: an unknown option, a wrong key, a wrong model.
"""

import argparse
import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ["stone ", "river ", "élan ", "bird ", "ends here, ", "tree\n"]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--served-model-name", "--host", "--dtype"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--max-num-seqs", "--max-model-len", "--tensor-parallel-size"):
        parser.add_argument(name, required=True, type=int)
    parser.add_argument("--enable-prompt-tokens-details", action="store_true")
    return parser.parse_args()


OPTIONS = options()
SEEN: set[tuple[int, ...]] = set()
"""Blocks of prompts, each with all before it, as vLLM's prefix cache keeps them."""
BLOCK_TOKENS = 16


async def health(request: Request) -> Response:
    return Response()


async def completions(request: Request) -> Response:
    if request.headers.get("authorization") != f"Bearer {os.environ['VLLM_API_KEY']}":
        return JSONResponse({"error": "Unauthorized"}, status_code=401)
    body = await request.json()
    if body["model"] != OPTIONS.served_model_name or len(body["prompt"]) + body["max_tokens"] > OPTIONS.max_model_len:
        return JSONResponse({"error": "wrong model or too long"}, status_code=400)
    if body.get("logit_bias", {}).get("1") == 66:
        os._exit(3)  # a crash, for the test of one
    return StreamingResponse(stream(body), media_type="text/event-stream")


async def stream(body: dict[str, Any]) -> AsyncIterator[str]:
    n_prompt, n_wanted, n_cached = len(body["prompt"]), body["max_tokens"], take(body["prompt"])
    seed = body.get("seed", random.getrandbits(32)) if body["temperature"] else 0
    chance = random.Random(f"{body['prompt']} {seed}")
    if body.get("logit_bias", {}).get("1") == 67:
        yield f"data: {json.dumps({'error': {'message': 'EngineCore is dead', 'code': 500}})}\n\n"
        return
    for n in range(1, n_wanted + 1):
        await asyncio.sleep(0.001)
        reason = "length" if n == n_wanted else None
        yield event([{"index": 0, "text": chance.choice(WORDS), "finish_reason": reason}], n_prompt, n)
    yield event([], n_prompt, n_wanted, n_cached)
    yield "data: [DONE]\n\n"


def take(prompt: list[int]) -> int:
    """Remember a prompt's blocks; return how many of its tokens were known."""
    blocks = [tuple(prompt[:end]) for end in range(BLOCK_TOKENS, len(prompt), BLOCK_TOKENS)]
    n_known = sum(block in SEEN for block in blocks)
    SEEN.update(blocks)
    return n_known * BLOCK_TOKENS


def event(choices: list[dict[str, Any]], n_prompt: int, n_tokens: int, n_cached: int = 0) -> str:
    """Details come at the end, with the option, and not where nothing was cached."""
    usage: dict[str, Any] = {"prompt_tokens": n_prompt, "completion_tokens": n_tokens}
    usage["total_tokens"] = n_prompt + n_tokens
    if OPTIONS.enable_prompt_tokens_details and n_cached:
        usage["prompt_tokens_details"] = {"cached_tokens": n_cached}
    return f"data: {json.dumps({'object': 'text_completion', 'choices': choices, 'usage': usage})}\n\n"


if __name__ == "__main__":
    routes = [Route("/health", health), Route("/v1/completions", completions, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), host=OPTIONS.host, port=OPTIONS.port, log_level="warning")
