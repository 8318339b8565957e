"""A real worker process enrols at a real site with a one-time token, over TLS, and comes back after `kill -9`."""

import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.certificates import certificate
from tests.gpu_worker.tiny_models import make_tiny_model
from tests.live import START_LIMIT_S, LiveSite, Process, running_site, start_process, wait_until

pytestmark = pytest.mark.processes


def ask(site: LiveSite, key: str) -> int:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{site.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False).status_code


def test_a_worker_enrols_once_serves_over_tls_and_comes_back_without_a_token(tmp_path: Path) -> None:
    cert, key_file = certificate(tmp_path, "127.0.0.1")
    model = make_tiny_model(tmp_path / "tiny")
    with running_site(tmp_path, env={"OUTBOUND_CA_FILE": str(cert)}) as site:
        command = ["-m", "gpu_worker", "serve", "--model", f"{model}=tiny", "--site", site.url]
        command += ["--identity", str(tmp_path / "identity.json"), "--tls-cert", str(cert), "--tls-key", str(key_file)]

        def start(name: str, token: str = "") -> Process:
            env = {k: v for k, v in site.env.items() if k not in ("DATABASE_URL", "SECRET_KEY")}
            env |= {"FASTCHAT_ENROLMENT_TOKEN": token} if token else {}
            return site.workers.setdefault(name, start_process(command, env=env, log=tmp_path / f"{name}.log"))

        def says(worker: Process, words: str) -> Callable[[], bool]:
            def has_said() -> bool:
                worker.assert_alive()
                return words in worker.log.read_text()

            return has_said

        token = site.manage("workers", "token", "--label", "tiny").strip()
        first = start("first", token)
        wait_until(says(first, "enrolled with the site"), what="the first enrolment", limit_s=START_LIMIT_S)
        wait_until(says(first, "ready: tiny"), what="the model", limit_s=START_LIMIT_S)
        api_key = site.api_key()
        wait_until(lambda: ask(site, api_key) == 200, what="an answer over TLS")
        identity = json.loads((tmp_path / "identity.json").read_text())
        assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600

        first.kill()
        second = start("second")
        wait_until(says(second, "ready: tiny"), what="the second start", limit_s=START_LIMIT_S)
        wait_until(says(second, "enrolled with the site"), what="the second enrolment", limit_s=START_LIMIT_S)
        wait_until(lambda: ask(site, api_key) == 200, what="an answer of the one that came back", limit_s=60)
        assert json.loads((tmp_path / "identity.json").read_text()) == identity
        assert site.query("SELECT count(*) FROM workers_worker WHERE base_url <> ''") == [(1,)]

        # Its port is open to nobody but the site, and it speaks nothing but TLS.
        found = re.search(r"listening on (https://\S+)", second.log.read_text())
        assert found is not None
        trusted = ssl.create_default_context(cafile=cert)
        stranger = httpx.get(f"{found[1]}/v1/models", verify=trusted, trust_env=False)
        assert stranger.status_code == 401
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{found[1].replace('https', 'http')}/v1/models", trust_env=False)
