"""A stand-in for the hub: one repository, its files by revision, the addresses that huggingface_hub asks for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class FakeHub:
    """Where it listens, what it has, and what it was asked for."""

    url: str
    repository: str
    revisions: dict[str, Path]
    """Folders by tag, of which `main` is meant where none is named; a commit is made up for each (`commit`)."""
    refusal: tuple[int, str] | None = None
    """Status and error code with which files are refused, instead of being given."""
    moved_to: str | None = None
    """Where files are instead, after such a beginning of the address."""
    page: bytes | None = None
    """What stands in every answer instead, as a proxy does that wants a login first."""
    is_cut: bool = False
    """The connection ends in the middle of each file."""
    asked: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    """By which it was called."""

    def commit(self, tag: str) -> str:
        return hashlib.sha1(tag.encode(), usedforsecurity=False).hexdigest()

    def find(self, revision: str) -> tuple[str, Path] | None:
        """A commit and its folder, by tag or commit."""
        known = {
            name: (self.commit(tag), folder)
            for tag, folder in self.revisions.items()
            for name in (tag, self.commit(tag))
        }
        return known.get(revision)


@contextmanager
def fake_hub(repository: str, revisions: dict[str, Path], *, kind: str = "models") -> Iterator[FakeHub]:
    """Listen until the block ends. `kind`: models or datasets."""
    prefix = "" if kind == "models" else f"/{kind}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            is_moved = bool(hub.moved_to) and path.startswith(f"{hub.moved_to}/")
            path = path.removeprefix(hub.moved_to or "")
            hub.asked.append(path)
            hub.hosts.add(self.headers["Host"])
            if hub.page is not None:
                self._reply(200, hub.page, {})
                return
            api, files = f"/api/{kind}/{repository}", f"{prefix}/{repository}/resolve/"
            if path == api:
                self._api("revision", "main")
            elif path.startswith(f"{api}/"):
                what, _, revision = path.removeprefix(f"{api}/").partition("/")
                self._api(what, revision)
            elif path.startswith(files):
                revision, _, name = path.removeprefix(files).partition("/")
                self._file(revision, name, is_moved=is_moved)
            else:
                self._reply(404, b"", {"X-Error-Code": "RepoNotFound"})

        def _api(self, what: str, revision: str) -> None:
            found = hub.find(revision)
            if found is None or what not in ("revision", "tree"):
                self._reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
                return
            commit, folder = found
            sizes = {
                file.relative_to(folder).as_posix(): file.stat().st_size
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            siblings = [{"rfilename": name} for name in sizes]
            tree = [{"type": "file", "path": name, "size": size, "oid": commit} for name, size in sizes.items()]
            body = tree if what == "tree" else {"id": repository, "sha": commit, "siblings": siblings}
            self._reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _file(self, revision: str, name: str, *, is_moved: bool) -> None:
            found = hub.find(revision)
            if hub.refusal is not None:
                self._reply(hub.refusal[0], b"", {"X-Error-Code": hub.refusal[1]})
                return
            if found is None or not (found[1] / name).is_file():
                self._reply(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            if hub.moved_to is not None and self.command == "GET" and not is_moved:
                self._reply(302, b"", {"Location": f"{hub.moved_to}{self.path}"})
                return
            content = (found[1] / name).read_bytes()
            if hub.is_cut and self.command == "GET":
                self._cut(content)
                return
            etag = hashlib.sha256(content).hexdigest()
            self._reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": found[0]})

        def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _cut(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_port}", repository, revisions)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
