"""The benchmarks' client against scripted replies."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import Answer, Door, stream

MESSAGES = [{"role": "user", "content": "Hello"}]


def event(content: str | None = None, *, finish: str | None = None, **more: object) -> bytes:
    delta = {} if content is None else {"content": content}
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}], **more}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\n\ndata: [DONE]\n\n'


@asynccontextmanager
async def door_that_sends(pieces: Sequence[bytes], *, status: str = "200 OK", ends: bool = True) -> AsyncIterator[Door]:
    """A server that sends each piece as a chunk of its own."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n" if ends else b"")
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        yield Door(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "", "m")


async def ask(door: Door) -> Answer:
    return await stream(door, MESSAGES, max_tokens=2, temperature=0)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_events_are_read_wherever_the_chunks_are_cut(size: int) -> None:
    whole = event("Hé") + event("llo") + event(finish="length") + USAGE
    async with door_that_sends([whole[start : start + size] for start in range(0, len(whole), size)]) as door:
        answer = await ask(door)

    assert (answer.text, len(answer.text_at), answer.n_tokens(2)) == ("Héllo", 2, 2)
    assert 0 < answer.ttft_s < 60


async def test_the_role_alone_is_not_the_first_token() -> None:
    async with door_that_sends([event(""), event("a"), event(finish="length"), USAGE]) as door:
        assert len((await ask(door)).text_at) == 1


async def test_an_answer_without_usage_that_its_length_ended_has_all_its_tokens() -> None:
    async with door_that_sends([event("a"), event(finish="length")]) as door:
        assert (await ask(door)).n_tokens(2) == 2


async def test_an_answer_without_usage_that_ended_by_itself_is_refused() -> None:
    async with door_that_sends([event("a"), event(finish="stop")]) as door:
        answer = await ask(door)

    with pytest.raises(RuntimeError, match="without usage"):
        answer.n_tokens(2)


async def test_a_stream_without_an_end_is_refused() -> None:
    async with door_that_sends([event("a")]) as door:
        answer = await ask(door)

    with pytest.raises(RuntimeError, match="cut off"):
        answer.n_tokens(2)


async def test_a_cut_connection_fails_the_request() -> None:
    async with door_that_sends([event("a")], ends=False) as door:
        with pytest.raises(RuntimeError, match="cut"):
            await ask(door)


async def test_an_error_in_the_stream_fails_the_request_with_its_words() -> None:
    async with door_that_sends([b'data: {"error": {"message": "no memory"}}\n\n']) as door:
        with pytest.raises(RuntimeError, match="no memory"):
            await ask(door)


async def test_a_refusal_fails_the_request_with_its_status_and_words() -> None:
    async with door_that_sends([b'{"error":\n "busy"}'], status="503 Service Unavailable") as door:
        with pytest.raises(RuntimeError, match=r"HTTP 503.*\n.*busy"):
            await ask(door)


async def test_only_this_machine_is_asked() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await ask(Door("http://192.0.2.1:80", "", "m"))
