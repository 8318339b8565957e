"""LangChain's OpenAI classes against a live site: an invocation, a stream, a tool, a format, vectors."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.live import LiveSite

pytestmark = pytest.mark.processes


@tool
def weather(city: Literal["Ulm", "Bonn"]) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


class City(BaseModel):
    """A city."""

    name: Literal["Ulm", "Bonn"]


@pytest.fixture
def options(api_site: LiveSite, api_key: str) -> dict[str, Any]:
    return {"base_url": f"{api_site.url}/v1", "api_key": api_key, "max_retries": 0}


@pytest.fixture
def chat(options: dict[str, Any]) -> Iterator[ChatOpenAI]:
    yield ChatOpenAI(model="tiny", temperature=0, max_completion_tokens=12, timeout=120, **options)


def test_a_stream_joins_to_the_whole_answer_and_tells_its_usage(chat: ChatOpenAI) -> None:
    whole = chat.invoke("Hi there")
    joined: Any = None
    for chunk in chat.stream("Hi there", stream_usage=True):
        joined = chunk if joined is None else joined + chunk
    assert isinstance(joined, AIMessageChunk)
    assert joined.content == whole.content != ""
    assert joined.usage_metadata == whole.usage_metadata
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 12
    assert whole.response_metadata["finish_reason"] == "length"


def test_several_are_asked_at_once(chat: ChatOpenAI) -> None:
    answers = asyncio.run(chat.abatch(["Hi there"] * 4))
    assert len({answer.content for answer in answers}) == 1


def test_a_tool_is_called_and_its_result_goes_back(chat: ChatOpenAI) -> None:
    long = chat.model_copy(update={"max_tokens": 300, "seed": 4})
    bound = long.bind_tools([weather], tool_choice="weather")
    asked = HumanMessage("What is the weather in Ulm?")
    called: Any = bound.invoke([asked])
    [call] = called.tool_calls
    assert (call["name"], call["args"]["city"] in ("Ulm", "Bonn")) == ("weather", True)
    streamed: Any = None
    for chunk in bound.stream([asked]):
        streamed = chunk if streamed is None else streamed + chunk
    assert [one["args"] for one in streamed.tool_calls] == [call["args"]]
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    assert chat.invoke([asked, called, result]).content


def test_an_answer_follows_a_schema(chat: ChatOpenAI) -> None:
    long = chat.model_copy(update={"max_tokens": 300, "seed": 4})
    city = long.with_structured_output(City, method="json_schema").invoke("Name a city.")
    assert isinstance(city, City)
    assert json.loads(city.model_dump_json())["name"] in ("Ulm", "Bonn")


def test_vectors_of_texts_and_of_a_question(options: dict[str, Any]) -> None:
    # Otherwise it would send token ids of one of OpenAI's own models.
    embeddings = OpenAIEmbeddings(model="vectors", check_embedding_ctx_length=False, **options)
    first, second = embeddings.embed_documents(["an owl", "a fox"])
    assert first != second
    assert embeddings.embed_query("an owl") == pytest.approx(first, abs=1e-5)
