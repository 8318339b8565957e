"""Server-sent events of a completion: the worker's chunks, passed on as they are, and what frames them."""

import json
from collections.abc import AsyncGenerator

from apps.openai_api.errors import api_error
from apps.openai_api.opening import Opening
from apps.workers.events import HEARTBEAT


async def sse_chunks(opening: Opening) -> AsyncGenerator[bytes, None]:
    """Frame a stream's events; ends with `[DONE]`, or with an error event when something failed.

    Comments tell the place in the queue and keep proxies from closing a stream that waits for its next token. Closing
    this generator, as happens when the client leaves, cancels at the worker.
    """
    try:
        async for words in opening.comments():
            yield comment(words)
        yield _frame((await opening.first()).data)
        async for event in opening.events:
            yield comment("heartbeat") if event is HEARTBEAT else _frame(event.data)
        yield _frame("[DONE]")
    except Exception as exc:
        # The status line has gone out with 200, so the error is told where the client still listens.
        yield _frame(json.dumps(api_error(exc).body))
    finally:
        await opening.aclose()


def _frame(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def comment(words: str) -> bytes:
    """What clients skip, and proxies do not."""
    return f": {words}\n\n".encode()
