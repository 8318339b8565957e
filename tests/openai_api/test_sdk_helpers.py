"""What the official SDK does around a call: parsing, events, retries, pages, headers, its asynchronous client."""

import asyncio
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from gpu_worker.protocol import ModelState
from tests.fake_worker import fake_worker
from tests.live import LiveSite
from tests.web.support import ScriptedWorker

pytestmark = pytest.mark.processes

HI: Any = [{"role": "user", "content": "Hi there"}]
ASK: Any = {"model": "tiny", "messages": HI, "max_completion_tokens": 300, "seed": 4}


class City(BaseModel):
    """A city."""

    name: Literal["Ulm", "Bonn"]


def test_an_answer_is_parsed_into_a_class(sdk: openai.OpenAI) -> None:
    parsed = sdk.chat.completions.parse(**ASK, response_format=City).choices[0].message.parsed
    assert parsed is not None
    assert parsed.name in ("Ulm", "Bonn")


def test_the_arguments_of_a_tool_are_parsed_from_a_stream(sdk: openai.OpenAI) -> None:
    tools = [openai.pydantic_function_tool(City)]
    choice: Any = {"type": "function", "function": {"name": "City"}}
    with sdk.chat.completions.stream(**ASK, tools=tools, tool_choice=choice) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    [call] = message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, City)


def test_the_asynchronous_client_streams_and_leaves(api_site: LiveSite, api_key: str) -> None:
    async def pieces() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{api_site.url}/v1", api_key=api_key, max_retries=0) as client:
            stream = await client.chat.completions.create(model="tiny", messages=HI, max_tokens=8, stream=True)
            async with stream:
                return [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]

    assert any(asyncio.run(pieces()))


def test_the_headers_of_a_reply_can_be_read(sdk: openai.OpenAI) -> None:
    raw = sdk.models.with_raw_response.list(extra_headers={"X-Request-ID": "trace-of-the-test"})
    assert raw.headers["x-request-id"] == "trace-of-the-test"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert [model.id for model in raw.parse()] == ["tiny", "vectors"]


def test_pages_of_files_and_batches_are_fetched_one_after_another(sdk: openai.OpenAI) -> None:
    files = [sdk.files.create(file=(f"{n}.jsonl", b"no batch"), purpose="batch") for n in range(3)]
    assert sdk.files.wait_for_processing(files[0].id).status == "processed"
    made = [
        sdk.batches.create(input_file_id=file.id, endpoint="/v1/completions", completion_window="24h").id
        for file in files
    ]
    listed = [batch.id for batch in sdk.batches.list(limit=1)]
    assert listed[:3] == made[::-1]
    assert [file.id for file in sdk.files.list(limit=1)][:3] == [file.id for file in files[::-1]]


def test_a_model_that_is_still_loading_is_asked_again_after_a_while(
    api_site: LiveSite, api_key: str, sdk: openai.OpenAI
) -> None:
    told: list[tuple[int, str | None]] = []
    with fake_worker() as fake:
        scripted = ScriptedWorker(api_site, fake, "late")
        scripted.report(ModelState.LOADING, 0.5)

        def loaded_meanwhile(reply: Any) -> None:
            told.append((reply.status_code, reply.headers.get("retry-after")))
            scripted.report()

        http_client = openai.DefaultHttpxClient(event_hooks={"response": [loaded_meanwhile]})
        with openai.OpenAI(
            base_url=f"{api_site.url}/v1", api_key=api_key, http_client=http_client, max_retries=1
        ) as client:
            raw = client.chat.completions.with_raw_response.create(model="late", messages=HI)
        assert raw.parse().choices[0].message.content == "Hello there."
        assert raw.retries_taken == 1
        api_site.query("UPDATE catalog_languagemodel SET visibility = 'hidden' WHERE name = 'late' RETURNING id")
    assert told == [(503, "2"), (200, None)]
