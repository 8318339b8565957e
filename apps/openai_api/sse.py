"""Server-sent events of a chat completion: the worker's chunks, passed on as they are, and what frames them."""

import asyncio
import json
from collections.abc import AsyncGenerator

from apps.openai_api.errors import api_error
from apps.workers.events import WorkerEvent

HEARTBEAT_S = 15.0
"""A comment line this often keeps proxies from closing a stream that waits for its next token."""


async def sse_chunks(first: WorkerEvent, rest: AsyncGenerator[WorkerEvent, None]) -> AsyncGenerator[bytes, None]:
    """Frame `first` and the events after it; ends with `[DONE]`, or with an error event when the worker failed.

    Closing this generator, as happens when the client leaves, closes `rest`, which cancels at the worker.
    """
    try:
        yield _frame(first.data)
        pending = asyncio.ensure_future(anext(rest))
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_S)
                if not done:
                    yield b": heartbeat\n\n"
                    continue
                yield _frame(pending.result().data)
                pending = asyncio.ensure_future(anext(rest))
        finally:
            if not pending.done():
                pending.cancel()
                await asyncio.wait({pending})
    except StopAsyncIteration:
        yield _frame("[DONE]")
    except Exception as exc:
        # The status line has gone out with 200, so the error is told where the client still listens.
        yield _frame(json.dumps(api_error(exc).body))
    finally:
        await rest.aclose()


def _frame(data: str) -> bytes:
    return f"data: {data}\n\n".encode()
