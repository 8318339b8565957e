"""A scripted worker: it computes nothing, so that what is measured is the way between it and the client.

`python -m benchmarks.scripted_worker --port N --site URL --worker-id UUID`, with the site's secret for it and its own
access token in the environment. It speaks as much of gpu_worker/protocol.py as chats need and serves two models:
`paced` writes 50 tokens a second for each stream, `instant` one after the other as fast as the connection takes them.
Each token is an event and a write of its own, as a worker's are. It uses a few microseconds for one.
"""

import argparse
import asyncio
import json
import os
from typing import Any, cast

import httptools
import uvloop

from gpu_worker.protocol import PROTOCOL_VERSION, LeaseRequest, ModelReport, ModelState
from gpu_worker.server.lease import Credentials, LeaseClient

PACED, INSTANT = "paced", "instant"
TOKENS_PER_S = 50.0
PAUSE_S = {PACED: 1 / TOKENS_PER_S, INSTANT: 0.0}
USUAL_TOKENS = 1000
"""Of an answer for which nobody said how many."""
PROMPT_TOKENS = 100
SLOTS = 1000
"""More than there are streams: nobody waits in the site's queue."""
TOKEN_VARIABLE, SECRET_VARIABLE = "BENCHMARK_ACCESS_TOKEN", "FASTCHAT_WORKER_SECRET"  # names only

WORDS = "river stone window garden morning paper music bridge lamp winter bread road letter table green quiet".split()  # noqa: SIM905
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
PARAGRAPH_TOKENS = 40


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another."""

    def __init__(self, access_token: str) -> None:
        self._authorization = f"Bearer {access_token}".encode()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport
        self._answer: Answer | None = None
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.stop()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def pause_writing(self) -> None:
        if self._answer is not None:
            self._answer.pause()

    def resume_writing(self) -> None:
        if self._answer is not None:
            self._answer.go_on()

    # --- What httptools calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url, self._body, self._is_let_in = b"", b"", False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._is_let_in = value == self._authorization

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url == b"/ready":
            self._reply({"status": "ready"})
        elif not self._is_let_in:
            self._reply({"error": {"message": "not let in", "code": "unauthorised"}}, status=b"401 Unauthorized")
        elif self._url == b"/v1/chat/completions":
            self._complete(json.loads(self._body))
        elif self._url == b"/v1/tokenize":
            self._reply({"count": PROMPT_TOKENS, "max_model_len": 100_000, "tokens": []})
        else:
            self._reply({"error": {"message": "unknown", "code": "generation_not_found"}}, status=b"404 Not Found")

    def _complete(self, body: dict[str, Any]) -> None:
        n_tokens = body.get("max_completion_tokens") or body.get("max_tokens") or USUAL_TOKENS
        if body.get("stream"):
            self._answer = Answer(self._transport, body["model"], n_tokens)
            self._answer.begin()
        else:
            self._reply(whole_answer(body["model"], n_tokens))

    def _reply(self, body: dict[str, Any], *, status: bytes = b"200 OK") -> None:
        content = json.dumps(body).encode()
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
        self._transport.write(head + content)


class Answer:
    """One streamed answer on its way: a timer of its own for each token, by the clock and not by the one before."""

    def __init__(self, transport: asyncio.WriteTransport, model: str, n_tokens: int) -> None:
        self._transport = transport
        self._model = model
        self._n_tokens = n_tokens
        self._n_sent = 0
        self._has_ended = False
        self._pause_s = PAUSE_S[model]
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._next: asyncio.Handle | None = None
        beginning, _, end = _chunk(model, {"content": "\0"}).partition(json.dumps("\0"))
        self._tokens = [f"{beginning}{json.dumps(token)}{end}".encode() for token in _TOKENS]

    def begin(self) -> None:
        self._transport.write(HEAD + _framed(1, _chunk(self._model, {"role": "assistant", "content": ""}).encode()))
        self._send()

    def stop(self) -> None:
        """Nobody reads on."""
        if self._next is not None:
            self._next.cancel()

    pause = stop

    def go_on(self) -> None:
        if not self._has_ended:
            self._next = self._loop.call_soon(self._send)

    def _send(self) -> None:
        if self._n_sent == self._n_tokens:
            self._end()
            return
        self._transport.write(_framed(self._n_sent + 2, self._tokens[self._n_sent % len(self._tokens)]))
        self._n_sent += 1
        if self._pause_s:
            self._next = self._loop.call_at(self._began + self._n_sent * self._pause_s, self._send)
        else:
            self._next = self._loop.call_soon(self._send)

    def _end(self) -> None:
        self._next, self._has_ended = None, True
        number = self._n_sent + 2
        finish = _chunk(self._model, {}, finish_reason="length").encode()
        usage = json.dumps(_envelope(self._model) | {"choices": [], "usage": _usage(self._n_tokens)}).encode()
        events = _framed(number, finish) + _framed(number + 1, usage) + _framed(number + 2, b"[DONE]")
        self._transport.write(events + LAST_CHUNK)


def whole_answer(model: str, n_tokens: int) -> dict[str, Any]:
    text = "".join(_TOKENS[number % len(_TOKENS)] for number in range(n_tokens))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
    return _envelope(model) | {"object": "chat.completion", "choices": [choice], "usage": _usage(n_tokens)}


def _framed(number: int, data: bytes) -> bytes:
    event = b"id: %d\ndata: %b\n\n" % (number, data)
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chunk(model: str, delta: dict[str, str], *, finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return json.dumps(_envelope(model) | {"choices": [choice], "usage": None}, separators=(",", ":"))


def _envelope(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1, "model": model}


def _usage(n_tokens: int) -> dict[str, Any]:
    total = PROMPT_TOKENS + n_tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": n_tokens, "total_tokens": total}


_TOKENS = [
    (" " if number % PARAGRAPH_TOKENS else "\n\n") + WORDS[number % len(WORDS)]
    for number in range(2 * PARAGRAPH_TOKENS)
]


async def serve(port: int, site: str, worker_id: str, access_token: str, secret: str) -> None:
    models = [ModelReport(name, ModelState.LOADED, context_length=100_000, slots=SLOTS) for name in PAUSE_S]
    report = LeaseRequest(
        protocol=PROTOCOL_VERSION, base_url=f"http://127.0.0.1:{port}", access_token=access_token, device="scripted",
        speed=1.0, queue_length=0, version="scripted", models=models,
    )  # fmt: skip
    server = await asyncio.get_running_loop().create_server(lambda: Connection(access_token), "127.0.0.1", port)
    async with server:
        if site:
            await LeaseClient(site, worker_id, Credentials(secret=secret), lambda: report).run()
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--site", default="", help="where to enrol; nowhere without")
    parser.add_argument("--worker-id", default="")
    options = parser.parse_args()
    secret = os.environ.get(SECRET_VARIABLE, "")
    uvloop.run(serve(options.port, options.site, options.worker_id, os.environ[TOKEN_VARIABLE], secret))


if __name__ == "__main__":
    main()
