"""What `gateway` measures: a site without models of its own, a scripted worker enrolled with it, LiteLLM's proxy."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import Door
from benchmarks.models import ROOT
from benchmarks.scripted_worker import INSTANT, PACED, SECRET_VARIABLE, TOKEN_VARIABLE
from benchmarks.servers import PEERS, PeerMissing, child, free_port, wait_for

ACCESS_TOKEN = "benchmark-only"  # noqa: S105  # of a worker that lives for this run on the loopback address
MASTER_KEY = "sk-benchmark-only"
PEOPLE_SCRIPT = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
for number in range({n}):
    user = get_user_model().objects.create_user(f"bench{{number}}", password=None)
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    print(session.session_key)
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A server between clients and a worker, and the process of it that passes tokens on."""

    name: str
    url: str
    key: str
    process: psutil.Process

    def door(self, model: str) -> Door:
        return Door(self.url, self.key, model)

    def cpu_s(self) -> float:
        """Processor time that it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mib(self) -> float:
        """What it holds in memory now (RSS)."""
        return float(self.process.memory_info().rss) / 2**20


@dataclass(frozen=True, slots=True)
class Site:
    """The site with its scripted worker."""

    gateway: Gateway
    worker: Gateway
    data_dir: Path

    def sessions(self, n: int) -> list[str]:
        """The session cookies of so many new people, each signed in once."""
        return manage(self.data_dir, "shell", "--no-imports", "--command", PEOPLE_SCRIPT.format(n=n)).split()


@contextmanager
def scripted_site(folder: Path) -> Iterator[Site]:
    """The site as `make run` starts it, but that its one worker is scripted. No jobs run."""
    data, port, worker_port = folder / "data", free_port(), free_port()
    url, worker_id = f"http://127.0.0.1:{port}", str(uuid.uuid4())
    launch = [sys.executable, "manage.py", "launch", "--port", str(port), "--data-dir", str(data)]
    with ExitStack() as stack:
        command = [*launch, "--no-workers", "--no-jobs"]
        launcher = stack.enter_context(child(command, dict(os.environ), folder / "site.log"))
        wait_for(url + "/ready")
        key = manage(data, "apikey", "create", "benchmark").strip()
        secret = manage(data, "workers", "register", worker_id).split()[1]
        options = ["--port", str(worker_port), "--site", url, "--worker-id", worker_id]
        env = os.environ | {TOKEN_VARIABLE: ACCESS_TOKEN, SECRET_VARIABLE: secret}
        scripted = [sys.executable, "-m", "benchmarks.scripted_worker", *options]
        worker = stack.enter_context(child(scripted, env, folder / "scripted-worker.log"))
        for model in (PACED, INSTANT):
            wait_for(f"{url}/v1/models/{model}", key=key, until=b'"state":"ready"')
        yield Site(
            Gateway("site", url, key, _descendant(launcher.pid, "fastchat_site.asgi")),
            Gateway("worker", f"http://127.0.0.1:{worker_port}", ACCESS_TOKEN, psutil.Process(worker.pid)),
            data,
        )


@contextmanager
def litellm_proxy(folder: Path, worker: Gateway) -> Iterator[Gateway]:
    """LiteLLM's proxy in front of the same worker: one process, a master key, no database, nothing logged."""
    program = PEERS / "litellm" / "bin" / "litellm"
    if not (PEERS / "litellm.stamp").is_file():
        raise PeerMissing("the peer litellm is not installed; `make peers` does it")
    config, port = folder / "litellm.json", free_port()
    upstream = {"api_base": worker.url + "/v1", "api_key": worker.key}
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", **upstream}} for name in (PACED, INSTANT)
    ]
    # JSON is YAML too.
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": MASTER_KEY}}))
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "*"}
    url = f"http://127.0.0.1:{port}"
    with child([*command, "--num_workers", "1"], env, folder / "litellm.log") as proxy:
        wait_for(url + "/health/liveliness")
        yield Gateway("litellm", url, MASTER_KEY, psutil.Process(proxy.pid))


def manage(data_dir: Path, *arguments: str) -> str:
    env = os.environ | {"FASTCHAT_DATA_DIR": str(data_dir)}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


def _descendant(pid: int, mark: str) -> psutil.Process:
    """The process below `pid` with this in its command line that is no mere leash of another."""
    found = [process for process in psutil.Process(pid).children(recursive=True) if mark in " ".join(process.cmdline())]
    return max(found, key=lambda process: process.create_time())
