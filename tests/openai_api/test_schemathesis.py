"""Requests that a machine makes up from our description, a thousand of them: what comes back is what it says.

No server errors, JSON and nothing else in errors, answers of the described shape; what fits the description is taken,
what does not is refused. The program `schemathesis` does it, as anybody could from outside.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import ROOT, LiveSite

pytestmark = pytest.mark.processes

PROGRAM = str(ROOT / ".venv" / "bin" / "schemathesis")
TEXT = {"type": "string", "minLength": 1, "maxLength": 40}
MESSAGE = {
    "type": "object",
    "properties": {"role": {"enum": ["user"]}, "content": TEXT},
    "required": ["role", "content"],
}
PLAIN: dict[str, Any] = {
    "messages": {"type": "array", "items": MESSAGE, "minItems": 1, "maxItems": 3},
    "prompt": TEXT,
    "input": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 4},
    "n": {"type": "integer", "minimum": 1, "maximum": 2},
}
AS_DESCRIBED = {"stream", "temperature", "top_p", "presence_penalty", "encoding_format", "user"}
SETTINGS = """
# Which part may stand in which message is more than a description can say, and so is which classifier is installed.
[[operations]]
include-name = ["POST /v1/responses", "POST /v1/moderations", "POST /v1/battles"]
checks.positive_data_acceptance.enabled = false
"""
ASKED = {"/v1/chat/completions": "tiny", "/v1/completions": "tiny", "/v1/embeddings": "vectors", "/v1/tokenize": "tiny"}
"""Which model is asked at which endpoint."""


@pytest.fixture
def schema(api_site: LiveSite) -> Any:
    return httpx.get(f"{api_site.url}/api/schema?format=json", trust_env=False).json()


def run(site: LiveSite, key: str, schema: Any, folder: Path, *options: str) -> None:
    location = folder / "schema.json"
    location.write_text(json.dumps(schema))
    (folder / "schemathesis.toml").write_text(SETTINGS)
    # One worker: with several, Python 3.11's parser, which hypothesis uses, is confused by threads.
    argv = [PROGRAM, "run", str(location), "--url", site.url, "--header", f"Authorization: Bearer {key}"]
    argv += ["--workers", "1", "--seed", "1", "--generation-deterministic"]
    argv += ["--no-color", "--no-shrink", "--continue-on-failure", "--output-truncate", "false", *options]
    env = site.env | {"NO_PROXY": "*"}
    done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generated" in done.stdout


def plain(schema: Any) -> Any:
    """Requests that a model answers: with its name, and without what only a worker can judge, such as a grammar."""

    def body(described: Any, model: str) -> Any:
        fields = {name: field for name, field in described["properties"].items() if name in AS_DESCRIBED}
        fields |= {name: field for name, field in PLAIN.items() if name in described["properties"]}
        fields["model"] = {"type": "string", "enum": [model]}
        required = [*described["required"], *(["max_tokens"] if "max_tokens" in fields else [])]
        return described | {"properties": fields, "required": required, "additionalProperties": False}

    paths = {path: schema["paths"][path]["post"] for path in ASKED}
    for path, operation in paths.items():
        content = operation["requestBody"]["content"]["application/json"]
        content["schema"] = body(content["schema"], ASKED[path])
        content.pop("examples", None)
    return schema | {"paths": {path: {"post": operation} for path, operation in paths.items()}}


def test_every_endpoint_keeps_what_the_description_says(
    api_site: LiveSite, api_key: str, schema: Any, tmp_path: Path
) -> None:
    run(api_site, api_key, schema, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "3")


def test_models_answer_as_described(api_site: LiveSite, api_key: str, schema: Any, tmp_path: Path) -> None:
    before = answered(api_site)
    run(api_site, api_key, plain(schema), tmp_path, "--phases", "fuzzing", "--mode", "positive", "--max-examples", "10")
    after = answered(api_site)
    assert all(after[path] >= before[path] + 8 for path in ASKED), (before, after)


def answered(site: LiveSite) -> dict[str, int]:
    rows = site.query("SELECT endpoint, count(*) FROM accounts_ledgerentry WHERE state = 'complete' GROUP BY endpoint")
    return dict.fromkeys(ASKED, 0) | {str(path): int(str(n)) for path, n in rows}
