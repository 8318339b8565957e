"""Server-sent events of a chat completion: the worker's chunks, passed on as they are, and what frames them."""

import json
from collections.abc import AsyncGenerator

from apps.openai_api.errors import api_error
from apps.workers.events import HEARTBEAT, WorkerEvent


async def sse_chunks(first: WorkerEvent, rest: AsyncGenerator[WorkerEvent, None]) -> AsyncGenerator[bytes, None]:
    """Frame `first` and the events after it; ends with `[DONE]`, or with an error event when the worker failed.

    The worker's heartbeats are passed on, so that no proxy closes a stream that waits for its next token. Closing this
    generator, as happens when the client leaves, closes `rest`, which cancels at the worker.
    """
    try:
        yield _frame(first.data)
        async for event in rest:
            yield b": heartbeat\n\n" if event is HEARTBEAT else _frame(event.data)
        yield _frame("[DONE]")
    except Exception as exc:
        # The status line has gone out with 200, so the error is told where the client still listens.
        yield _frame(json.dumps(api_error(exc).body))
    finally:
        await rest.aclose()


def _frame(data: str) -> bytes:
    return f"data: {data}\n\n".encode()
