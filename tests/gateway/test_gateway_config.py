"""From the admin's list of web backends to the file that nginx reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.gateway.models import WebBackend
from apps.gateway.nginx import Backend, upstream
from tests.live import free_port


class Answer(BaseHTTPRequestHandler):
    """Says that it is ready, or not, as its path was set up."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/ready" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class NotReady(Answer):
    status = 503


@pytest.fixture
def backends(db: None) -> Iterator[dict[str, WebBackend]]:
    """One that is ready, one whose database is away, one that nobody started."""
    made, servers = {}, []
    for name, handler in {"ready": Answer, "unready": NotReady}.items():
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        made[name] = WebBackend.objects.create(name=name, host="127.0.0.1", port=servers[-1].server_port)
    made["gone"] = WebBackend.objects.create(name="gone", host="127.0.0.1", port=free_port())
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def gateway_config(*arguments: str) -> tuple[str, str]:
    """What the command prints, and what it tells."""
    out, told = StringIO(), StringIO()
    call_command("gateway_config", *arguments, stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


def line_of(text: str, backend: WebBackend) -> str:
    (line,) = [line for line in text.splitlines() if backend.address in line]
    return line


def test_backends_that_are_not_ready_are_marked_down_and_the_reason_is_kept(backends: dict[str, WebBackend]) -> None:
    text, told = gateway_config()
    assert "weight=1" in line_of(text, backends["ready"])
    assert " down;" not in line_of(text, backends["ready"])
    assert " down;" in line_of(text, backends["unready"])
    assert " down;" in line_of(text, backends["gone"])
    assert "not ready (HTTP 503)" in told
    kept = {backend.name: (backend.is_healthy, backend.problem) for backend in WebBackend.objects.all()}
    assert kept == {
        "ready": (True, ""),
        "unready": (False, "not ready (HTTP 503)"),
        "gone": (False, "no answer (ConnectError)"),
    }


def test_one_that_is_switched_off_keeps_its_place_but_gets_nobody(backends: dict[str, WebBackend]) -> None:
    WebBackend.objects.filter(name="ready").update(is_enabled=False)
    WebBackend.objects.filter(name="gone").delete()
    WebBackend.objects.create(name="twin", host="localhost", port=backends["ready"].port)
    text, told = gateway_config()
    assert " down;" in line_of(text, backends["ready"])
    assert " down;" not in line_of(text, WebBackend.objects.get(name="twin"))
    assert "weight 1, off" in told


def test_when_none_is_ready_all_are_asked(backends: dict[str, WebBackend]) -> None:
    WebBackend.objects.filter(name="ready").delete()
    text, told = gateway_config()
    assert " down;" not in text
    assert "No backend is ready" in told


def test_when_none_is_ready_those_that_are_switched_off_get_nobody_all_the_same(
    backends: dict[str, WebBackend],
) -> None:
    WebBackend.objects.filter(name="ready").update(is_enabled=False)
    text, _ = gateway_config()
    assert " down;" in line_of(text, backends["ready"])
    assert " down;" not in line_of(text, backends["unready"])
    assert " down;" not in line_of(text, backends["gone"])


@dataclass
class FakeNginx:
    """A program that is called as nginx is, and notes what it was asked."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "backends.conf"

    def behave(self, script: str) -> None:
        program = self.folder / "nginx"
        program.write_text(f'#!/bin/sh\necho "$*" >> {self.folder}/asked\n{script}\n')
        program.chmod(0o755)

    def apply(self) -> str:
        return gateway_config("--output", str(self.output), "--reload", "--nginx", f"{self.folder}/nginx")[1]

    def asked(self) -> list[str]:
        """Since it was last asked for that."""
        log = self.folder / "asked"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def nginx(tmp_path: Path) -> FakeNginx:
    fake = FakeNginx(tmp_path)
    fake.behave("")
    return fake


def test_nginx_reads_each_list_once(backends: dict[str, WebBackend], nginx: FakeNginx) -> None:
    assert "nginx reads it" in nginx.apply()
    assert nginx.asked() == ["-t -q", "-s reload"]
    assert "nothing has changed" in nginx.apply()
    assert nginx.asked() == []


def test_a_list_that_was_written_before_is_read_all_the_same(backends: dict[str, WebBackend], nginx: FakeNginx) -> None:
    nginx.apply()
    WebBackend.objects.filter(name="ready").update(weight=7)
    gateway_config("--output", str(nginx.output))
    nginx.asked()
    assert "nginx reads it" in nginx.apply()
    assert nginx.asked() == ["-t -q", "-s reload"]


def test_a_list_that_nginx_could_not_be_told_of_is_put_back_and_tried_again(
    backends: dict[str, WebBackend], nginx: FakeNginx
) -> None:
    nginx.apply()
    before = nginx.output.read_text()
    WebBackend.objects.filter(name="ready").update(weight=7)
    nginx.behave('[ "$1" != -s ] || { echo "invalid PID" >&2; exit 1; }')
    with pytest.raises(CommandError, match="invalid PID"):
        nginx.apply()
    assert nginx.output.read_text() == before

    nginx.behave("")
    nginx.asked()
    nginx.apply()
    assert "weight=7" in nginx.output.read_text()
    assert nginx.asked() == ["-t -q", "-s reload"]


def test_the_file_is_written_once_and_not_again_when_nothing_has_changed(
    backends: dict[str, WebBackend], tmp_path: Path
) -> None:
    path = tmp_path / "backends.conf"
    assert "written" in gateway_config("--output", str(path))[1]
    first = path.stat()
    assert "nothing has changed" in gateway_config("--output", str(path))[1]
    assert path.stat().st_ino == first.st_ino
    assert [file.name for file in tmp_path.iterdir()] == ["backends.conf"], "no temporary file is left"
    WebBackend.objects.filter(name="ready").update(weight=7)
    gateway_config("--output", str(path))
    assert "weight=7" in line_of(path.read_text(), backends["ready"])


@pytest.mark.django_db
def test_an_empty_list_is_refused_and_no_file_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "backends.conf"
    with pytest.raises(CommandError, match="no web backend yet: add one in the admin"):
        gateway_config("--output", str(path))
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reload"], "--reload needs --output"),
        (["--output", "{}/no/such/folder/b.conf"], "cannot be written: No such file or directory"),
        (["--output", "{}/b.conf", "--reload", "--nginx", "/no/such/nginx"], "`/no/such/nginx -t -q` failed"),
    ],
)
def test_what_cannot_be_done_is_told(
    backends: dict[str, WebBackend], tmp_path: Path, arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        gateway_config(*(argument.format(tmp_path) for argument in arguments))
    assert list(tmp_path.iterdir()) == [], "a file that nginx has not accepted does not stay"


@pytest.mark.parametrize("host", ["web-2.internal", "10.0.0.12", "[fd00::2]", "a"])
def test_hosts_that_nginx_reaches_are_taken(host: str) -> None:
    WebBackend(name="one", host=host, port=80).clean_fields()
    assert f"server {host}:80 " in Backend("one", host, 80, 1).render()


@pytest.mark.parametrize(
    "host", ["", "a b", "a;", "a\n", "unix:/tmp/x", "fd00::2", "-a", "a/b", "10.0.0.1:80", "a{", "#"]
)
def test_what_would_be_something_else_to_nginx_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        WebBackend(name="one", host=host, port=80).clean_fields()
    with pytest.raises(ValueError, match="not a host"):
        Backend("one", host, 80, 1)


@given(st.permutations([Backend(name, "10.0.0.1", 80 + i, i + 1, is_down=i == 1) for i, name in enumerate("abcd")]))
def test_the_order_of_the_rows_does_not_matter(backends: list[Backend]) -> None:
    assert upstream(backends) == upstream(sorted(backends, key=lambda one: one.port))


def test_the_admin_changes_weights_and_strangers_do_not(
    backends: dict[str, WebBackend], client: Client, charlie: User
) -> None:
    url = f"/admin/gateway/webbackend/{backends['ready'].pk}/change/"
    body = {"name": "ready", "host": "127.0.0.1", "port": backends["ready"].port, "weight": 3, "is_enabled": "on"}
    client.force_login(charlie)
    assert client.post(url, body).status_code == 302
    backends["ready"].refresh_from_db()
    assert backends["ready"].weight == 1
    client.force_login(User.objects.create_superuser("root", "root@example.org", "x"))
    reply = client.post(url, body, follow=True)
    assert "gateway_config --reload" in reply.content.decode()
    backends["ready"].refresh_from_db()
    assert backends["ready"].weight == 3
