"""The worker as a process: what an operator starts, sees and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gpu_worker.protocol import ModelState
from gpu_worker.server.cli import UsageError, read_options
from tests.fake_hub import fake_hub
from tests.gpu_worker.fake_site import ENROLMENT_TOKEN, fake_site
from tests.gpu_worker.live_worker import eventually

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "Hello"}]


class Process:
    """`python -m gpu_worker serve` and what it prints."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTCHAT_")}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "gpu_worker", "serve", "--device", "cpu", *arguments],
            cwd=ROOT,
            env={**clean, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def ended(self) -> tuple[int, str]:
        _, errors = self.popen.communicate(timeout=40)
        return self.popen.returncode, errors


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[Process]:
    started = Process(*arguments, **environment)
    try:
        yield started
    finally:
        if started.popen.poll() is None:
            started.popen.kill()
        started.popen.communicate(timeout=20)


def test_a_worker_listens_at_once_loads_enrols_serves_drains_and_leaves(endless: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        site_port = reserved.getsockname()[1]
    worker_id = str(uuid.uuid4())
    # The site is down when the worker starts.
    with process(
        *("--model", f"{endless}=parrot", "--site", f"http://127.0.0.1:{site_port}/", "--worker-id", worker_id),
        *("--drain-s", "0.3", "--speed", "2.5"),
        FASTCHAT_ENROLMENT_TOKEN=ENROLMENT_TOKEN,
    ) as worker:
        address = worker.line().removeprefix("listening on ")
        with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
            assert client.get("/health").status_code == 200
            early = client.get("/ready")
            assert (early.status_code, early.json()["models"][0]["state"]) == (503, "loading")
            with fake_site(site_port) as site:
                assert worker.line().startswith("ready: parrot (0.2M parameters, ")
                eventually(lambda: client.get("/ready").status_code == 200)
                site.wait(lambda: bool(site.leases) and site.leases[-1].models[0].state is ModelState.LOADED)
                lease = site.leases[-1]
                assert (lease.base_url, lease.speed, lease.draining) == (address, 2.5, False)
                assert lease.models[0].context_length == 30_000
                client.headers["Authorization"] = f"Bearer {lease.access_token}"
                body = {"model": "parrot", "messages": HELLO, "stream": True}
                with client.stream("POST", "/v1/chat/completions", json=body) as reply:
                    lines = reply.iter_lines()
                    assert next(lines) == "id: 1"
                    worker.popen.send_signal(signal.SIGTERM)
                    site.wait(lambda: site.leases[-1].draining)
                    refused = httpx.post(
                        f"{address}/v1/chat/completions", headers=client.headers, json=body, trust_env=False
                    )
                    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
                    last = [line for line in lines if line.startswith("data: ")][-1]
                assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
                code, errors = worker.ended()
                assert code == 0
                assert "Traceback" not in errors
                assert site.left == [f"/internal/workers/{worker_id}/lease"]


def test_one_model_that_fails_does_not_keep_the_others_from_serving(tiny: Path, tmp_path: Path) -> None:
    arguments = ("--model", str(tmp_path / "nowhere"), "--model", str(tiny))
    with process(*arguments, FASTCHAT_WORKER_ACCESS_TOKEN="t") as worker:
        address = worker.line().removeprefix("listening on ")
        assert worker.line().startswith("ready: tiny")
        ready = httpx.get(f"{address}/ready", trust_env=False)
        assert ready.status_code == 503
        assert [model["state"] for model in ready.json()["models"]] == ["failed", "loaded"]
        assert "there is no folder" in ready.json()["models"][0]["error"]
        headers = {"Authorization": "Bearer t"}
        for name, status in (("tiny", 200), ("nowhere", 404)):
            body = {"model": name, "messages": HELLO, "max_tokens": 2}
            reply = httpx.post(f"{address}/v1/chat/completions", headers=headers, json=body, trust_env=False)
            assert reply.status_code == status
        worker.popen.send_signal(signal.SIGINT)
        assert worker.ended()[0] == 0


def test_a_worker_that_can_serve_nothing_ends_with_a_clear_last_line(tmp_path: Path) -> None:
    with process("--model", str(tmp_path / "nowhere"), FASTCHAT_WORKER_ACCESS_TOKEN="t") as worker:
        code, errors = worker.ended()
        assert code == 1
        assert errors.splitlines()[-1] == "gpu_worker serve: no model could be served; see the lines above"
        assert "nowhere: there is no folder" in errors
        assert "Traceback" not in errors


def test_a_pinned_revision_of_the_hub_is_served_and_reported(tiny: Path, endless: Path, tmp_path: Path) -> None:
    with fake_hub("team/wren", {"v1": tiny, "main": endless}) as hub:
        models = ("--model", "team/wren@v1=pinned", "--model", "team/wren@v9=absent", "--model", "team/hawk=unknown")
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
        with process(*models, FASTCHAT_WORKER_ACCESS_TOKEN="t", **environment) as worker:
            address = worker.line().removeprefix("listening on ")
            assert worker.line().startswith("ready: pinned (0.2M parameters")
            with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
                eventually(lambda: "loading" not in [m["state"] for m in client.get("/ready").json()["models"]], 40)
                reports = {model["name"]: model for model in client.get("/ready").json()["models"]}
        assert reports["pinned"]["revision"] == hub.commit("v1")
        assert reports["pinned"]["context_length"] == 512, "not that of main, which is another model"
        assert "no revision 'v9'" in reports["absent"]["error"]
        assert "neither a folder here nor a model on the hub" in reports["unknown"]["error"]


def test_a_download_from_the_hub_that_breaks_off_is_told_in_a_line(tiny: Path, tmp_path: Path) -> None:
    with fake_hub("team/wren", {"main": tiny}) as hub:
        hub.is_cut = True
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
        with process("--model", "team/wren", FASTCHAT_WORKER_ACCESS_TOKEN="t", **environment) as worker:
            code, errors = worker.ended()
    assert code == 1
    assert "wren: it is no folder here, and the hub cannot be reached to download it" in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_told_before_anything_is_loaded(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with process("--model", str(tiny), "--port", port, FASTCHAT_WORKER_ACCESS_TOKEN="t") as worker:
            code, errors = worker.ended()
    assert code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in errors


def test_tokens_come_from_the_environment_alone() -> None:
    with pytest.raises(UsageError, match="FASTCHAT_WORKER_ACCESS_TOKEN"):
        read_options(["--model", "m"], {})
    with pytest.raises(UsageError, match="FASTCHAT_ENROLMENT_TOKEN"):
        read_options(["--model", "m", "--site", "http://site"], {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"})
    first, second = (
        read_options(["--model", "m", "--site", "http://site"], {"FASTCHAT_ENROLMENT_TOKEN": "e"}) for _ in range(2)
    )
    assert first.access_token != second.access_token
    assert first.worker_id != second.worker_id


def test_a_worker_on_every_address_must_say_which_one_the_site_uses() -> None:
    arguments = ["--model", "m", "--site", "http://site", "--host", "0.0.0.0"]  # noqa: S104 - nothing listens
    with pytest.raises(UsageError, match="--base-url"):
        read_options(arguments, {"FASTCHAT_ENROLMENT_TOKEN": "e"})
    given = read_options([*arguments, "--base-url", "http://gpu:9/"], {"FASTCHAT_ENROLMENT_TOKEN": "e"})
    assert given.base_url == "http://gpu:9"


def test_two_models_need_two_names() -> None:
    with pytest.raises(UsageError, match="same name"):
        read_options(["--model", "a/m", "--model", "b/m"], {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"})


def test_how_weights_are_kept_is_said_for_all_models_or_for_one() -> None:
    arguments = ["--model", "a", "--model", "b", "--model", "c", "--quantize", "int8"]
    tokens = {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"}
    given = read_options([*arguments, "--quantize", "b=nf4", "--quantize", "c=none"], tokens)
    assert [spec.quantisation for spec in given.specs] == ["int8", "nf4", None]
    with pytest.raises(UsageError, match="no --model has that name"):
        read_options([*arguments, "--quantize", "d=int8"], tokens)
    with pytest.raises(UsageError, match="two things"):
        read_options([*arguments, "--quantize", "none"], tokens)


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("1000", 1000), ("2KiB", 2048), ("1.5MiB", 3 * 2**19), ("12GiB", 12 * 2**30)]
)
def test_a_memory_limit_has_a_unit(text: str, n_bytes: int) -> None:
    given = read_options(["--model", "a", "--max-memory", text], {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"})
    assert given.serving.max_memory == n_bytes


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--device", "tpu"],
        ["--dtype", "int3"],
        ["--max-batch", "0"],
        ["--speed", "nan"],
        ["--speed", "0"],
        ["--site", "site.example"],
        ["--worker-id", "seven"],
        ["--drain-s", "-1"],
        ["--threads", "0"],
        ["--model", "="],
        ["--quantize", "int3"],
        ["--quantize", "=int8"],
        ["--max-memory", "0"],
        ["--models-dir", "/nowhere"],
        ["--max-memory", "12GB"],
        ["--max-memory", "-1GiB"],
    ],
)
def test_nonsense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_options(["--model", "m", *arguments], {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"})
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_template_is_given_to_the_model_that_it_names() -> None:
    secret = {"FASTCHAT_WORKER_ACCESS_TOKEN": "t"}
    given = read_options(["--model", "m", "--model", "n", "--template", "n=vicuna_v1.1"], secret)
    assert [spec.template for spec in given.specs] == [None, "vicuna_v1.1"]
    for wrong in ("n", "other=zephyr", "=zephyr"):
        with pytest.raises(UsageError, match="--template takes NAME=TEMPLATE"):
            read_options(["--model", "m", "--template", wrong], secret)
    with pytest.raises(UsageError, match=r"no template 'vicuna'.*vicuna_v1\.1"):
        read_options(["--model", "m", "--template", "m=vicuna"], secret)
    with pytest.raises(UsageError, match="once for each model"):
        read_options(["--model", "m", "--template", "m=zephyr", "--template", "m=zephyr"], secret)


def test_help_lists_the_templates(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"], {})
    assert "vicuna_v1.1" in capsys.readouterr().out
