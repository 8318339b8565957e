"""Debian's nginx, with the configuration that we ship, in front of two web processes of one site."""

import json
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.fake_worker import Gate, fake_worker
from tests.live import ROOT, LiveSite, Process, free_port, running_site, start_process, wait_until
from tests.web.support import ScriptedWorker

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") or "nginx"

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    log_format who '$upstream_addr';
    access_log {folder}/access.log who;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Gateway:
    """A running nginx, the site behind it, and the site's second web process."""

    url: str
    folder: Path
    site: LiveSite
    ports: dict[str, int]
    second: Process = field(init=False)
    backends: str = field(init=False)
    """nginx's list of both, with weight 1."""

    def start_second(self) -> None:
        command = ["-m", "uvicorn", "fastchat_site.asgi:application", "--host", "127.0.0.1"]
        command += ["--port", str(self.ports["second"])]
        self.second = start_process(command, env=self.site.env, log=self.folder / "second.log")
        wait_until(lambda: _answers(self.ports["second"]), what="the second web process", limit_s=90)

    def stop_second(self) -> None:
        if self.second.popen.poll() is None:
            self.second.stop()

    def apply(self) -> str:
        output = str(self.folder / "backends.conf")
        nginx = f"{NGINX} -c {self.folder}/nginx.conf"
        return self.site.manage("gateway_config", "--output", output, "--reload", "--nginx", nginx)

    def weigh(self, name: str, weight: int) -> None:
        assert self.site.query("UPDATE gateway_webbackend SET weight = %s WHERE name = %s RETURNING id", weight, name)

    def switch(self, name: str, *, is_enabled: bool) -> None:
        statement = "UPDATE gateway_webbackend SET is_enabled = %s WHERE name = %s RETURNING id"
        assert self.site.query(statement, is_enabled, name)

    def served_by(self, n: int) -> Counter[str]:
        """Which backends serve `n` people, by name."""
        log = self.folder / "access.log"
        before = len(log.read_text().splitlines())  # nginx writes a line when it has answered
        with httpx.Client(trust_env=False) as client:
            for person in range(n):
                reply = client.get(f"{self.url}/health", headers={"Cookie": f"sessionid=person-{person}"})
                assert reply.status_code == 200
        wait_until(lambda: len(log.read_text().splitlines()) == before + n, what="the log of all requests")
        names = {f"127.0.0.1:{port}": name for name, port in self.ports.items()}
        # After a failed attempt a line names both: the last one served.
        return Counter(names[line.split(", ")[-1]] for line in log.read_text().splitlines()[before:])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    with ExitStack() as stack:
        site = stack.enter_context(running_site(folder))
        ports = {"first": int(site.url.rpartition(":")[2]), "second": free_port()}
        gateway = Gateway(f"http://127.0.0.1:{port}", folder, site, ports)
        stack.callback(gateway.stop_second)
        for name, backend_port in ports.items():
            site.query(
                "INSERT INTO gateway_webbackend (name, host, port, weight, is_enabled, problem)"
                " VALUES (%s, '127.0.0.1', %s, 1, true, '') RETURNING id",
                name,
                backend_port,
            )
        gateway.start_second()
        _write_configuration(folder, port)
        site.manage("gateway_config", "--output", str(folder / "backends.conf"))
        gateway.backends = (folder / "backends.conf").read_text()
        nginx = stack.enter_context(subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf")]))
        stack.callback(nginx.terminate)
        wait_until(lambda: nginx.poll() is not None or _answers(port), what="nginx")
        assert nginx.poll() is None, "nginx does not start; it says why on stderr"
        wait_until((folder / "access.log").read_text, what="the log of the first answer")
        yield gateway


@pytest.fixture
def gateway(shared: Gateway) -> Iterator[Gateway]:
    """Both backends run with weight 1, before each test."""
    yield shared
    for name in shared.ports:
        shared.weigh(name, 1)
        shared.switch(name, is_enabled=True)
    if shared.site.web.popen.poll() is not None:
        shared.site.start_web()
    if shared.second.popen.poll() is not None:
        shared.start_second()
    _write_configuration(shared.folder, int(shared.url.rpartition(":")[2]))
    # Without our command, which takes seconds to start. nginx also forgets who did not answer.
    (shared.folder / "backends.conf").write_text(shared.backends)
    subprocess.run([NGINX, "-c", str(shared.folder / "nginx.conf"), "-s", "reload"], check=True)


def _write_configuration(folder: Path, port: int) -> None:
    """The shipped file as it is, but for its address, its certificate and its folders."""
    text = (ROOT / "deploy" / "nginx" / "site.conf").read_text()
    text = text.replace("/etc/nginx/fastchat_site_backends.conf", f"{folder}/backends.conf")
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = "\n".join(line for line in text.splitlines() if not line.strip().startswith("ssl_certificate"))
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_people_are_shared_by_weight_and_each_stays_where_they_are(gateway: Gateway) -> None:
    shares = gateway.served_by(200)
    assert shares["first"] + shares["second"] == 200
    assert 60 < shares["first"] < 140
    assert gateway.served_by(200) == shares, "the same people go to the same backends"
    gateway.weigh("second", 9)
    gateway.apply()
    wait_until(lambda: gateway.served_by(200)["second"] > 160, what="the weight to be in effect")


def test_when_a_backend_is_switched_off_or_dies_its_people_go_to_the_other(gateway: Gateway) -> None:
    gateway.switch("first", is_enabled=False)
    gateway.apply()
    wait_until(lambda: gateway.served_by(20) == {"second": 20}, what="the switch to be in effect")
    gateway.switch("first", is_enabled=True)
    gateway.apply()
    wait_until(lambda: len(gateway.served_by(40)) == 2, what="the switch to be undone")
    gateway.second.kill()
    assert gateway.served_by(40) == {"first": 40}, "nobody notices, without any command"


def test_a_stream_and_a_socket_go_on_while_nginx_reads_a_new_list(gateway: Gateway) -> None:
    key, gate = gateway.site.api_key(), Gate()
    socket_url = gateway.url.replace("http", "ws", 1) + "/ws/chat"
    cookies = httpx.get(f"{gateway.url}/chat", trust_env=False).cookies
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "Origin": gateway.url}
    with fake_worker() as fake, connect(socket_url, additional_headers=headers, proxy=None) as socket:
        scripted = ScriptedWorker(gateway.site, fake, "scripted")
        scripted.report()
        fake.play("before ", gate, "after")
        body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        request = httpx.Request(
            "POST", f"{gateway.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}
        )
        with httpx.Client(timeout=60, trust_env=False) as client:
            reply = client.send(request, stream=True)
            lines = reply.iter_lines()
            text = ""
            while "before" not in text:
                text += _delta(next(lines))
            gateway.weigh("second", 5)
            gateway.apply()
            gate.open()
            text += "".join(map(_delta, lines))
        assert text == "before after"
        socket.ping().wait(10)


def _delta(line: str) -> str:
    if not line.startswith("data: {"):
        return ""
    return "".join(choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"])


def test_programs_get_nginxs_refusals_in_openais_shape(gateway: Gateway) -> None:
    gateway.second.kill()
    gateway.site.web.kill()
    reply = httpx.get(f"{gateway.url}/v1/models", trust_env=False)
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "2"
    assert reply.json()["error"]["code"] == "overloaded"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/token_check", "/v1/files"])
def test_programs_are_told_in_json_that_they_send_too_much(gateway: Gateway, path: str) -> None:
    n_bytes = (102 if path == "/v1/files" else 9) * 1024 * 1024
    # nginx knows by the head alone; what it is not sent it cannot count.
    status, content = _head_alone(gateway, path, n_bytes)
    assert status == 413
    assert json.loads(content)["error"]["code"] == "request_too_large"


def _head_alone(gateway: Gateway, path: str, n_bytes: int) -> tuple[int, bytes]:
    address = httpx.URL(gateway.url)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {n_bytes}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address.host, address.port or 80), timeout=30) as connection:
        connection.sendall(head.encode())
        # To its end, but not until nginx closes the connection: for some seconds it waits for the rest of the body.
        with HTTPResponse(connection) as reply:
            reply.begin()
            return reply.status, reply.read()


def test_a_site_that_is_silent_too_long_is_told_as_that(gateway: Gateway) -> None:
    site_conf = gateway.folder / "site.conf"
    assert "proxy_read_timeout 3600s;" in site_conf.read_text()
    site_conf.write_text(site_conf.read_text().replace("proxy_read_timeout 3600s;", "proxy_read_timeout 1s;"))
    gateway.weigh("second", 2)
    gateway.apply()
    key, gate = gateway.site.api_key(), Gate()
    headers = {"Authorization": f"Bearer {key}"}
    with fake_worker() as fake:
        ScriptedWorker(gateway.site, fake, "silent").report()
        fake.play("never", gate)
        body = {"model": "silent", "messages": [{"role": "user", "content": "Hi"}]}
        url = f"{gateway.url}/v1/chat/completions"
        reply = httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)
        gate.open()
    assert reply.status_code == 504
    assert reply.json()["error"]["code"] == "timeout"


def test_other_doors_for_programs_get_nginxs_refusals_too(gateway: Gateway) -> None:
    gateway.second.kill()
    gateway.site.web.kill()
    reply = httpx.post(f"{gateway.url}/api/v1/token_check", json={}, trust_env=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "overloaded")


def test_a_list_that_nginx_does_not_accept_is_put_back(gateway: Gateway) -> None:
    path = gateway.folder / "backends.conf"
    before = path.read_text()
    with (gateway.folder / "site.conf").open("a") as file:
        file.write("\nnonsense;\n")
    gateway.weigh("second", 5)
    with pytest.raises(RuntimeError, match="unknown directive"):
        gateway.apply()
    assert path.read_text() == before
    assert gateway.served_by(1).total() == 1
