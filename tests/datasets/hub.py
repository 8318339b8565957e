"""A hub in a thread: as much of Hugging Face's HTTP interface as the library's client uses to upload a folder, with
commits that hold what was sent, and faults on demand.

Source: what huggingface_hub 2.4.0 sends and expects (hf_api.py, _commit_api.py, lfs.py).
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

SIGNATURE = "whoever-has-this-may-write"


@dataclass
class Hub:
    """`files`: of the newest commit of the one dataset, by path. `statuses`: what is answered to paths that begin so.
    `cuts`: paths on which the connection ends without an answer."""

    address: str = ""
    exists: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)
    cuts: set[str] = field(default_factory=set)
    uploads_at: str = ""
    """Where large files are to be sent, if not here."""

    @property
    def head(self) -> str:
        return hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()  # noqa: S324  # as git names commits


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if token := self.headers.get("Authorization"):
            self.hub.tokens.add(token)
        if any(path.startswith(one) for one in self.hub.cuts):
            self.close_connection = True
            return
        for begins, status in self.hub.statuses.items():
            if path.startswith(begins):
                self._reply({"error": "refused"}, status)
                return
        self._reply(*self._done(path, body))

    def _done(self, path: str, body: bytes) -> tuple[Any, int]:
        hub = self.hub
        match path.split("/")[1:]:
            case ["api", "repos", "create"]:
                hub.exists = True
                return {"url": f"{hub.address}/datasets/org/name", "id": "org/name"}, 200
            case ["api", "validate-yaml"]:
                return {"errors": [], "warnings": []}, 200
            case ["api", "datasets", "org", "name", *_] if not hub.exists:
                return {"error": "Repository not found"}, 404
            case ["api", "datasets", "org", "name", "tree", "main"]:
                return [{"type": "file", "path": one, "size": 1, "oid": "0" * 40} for one in hub.files], 200
            case ["api", "datasets", "org", "name", "revision", "main"] | ["api", "datasets", "org", "name"]:
                return {"id": "org/name", "sha": hub.head, "siblings": [{"rfilename": one} for one in hub.files]}, 200
            case ["api", "datasets", "org", "name", "preupload", "main"]:
                return {"files": [self._before(one["path"]) for one in json.loads(body)["files"]]}, 200
            case ["datasets", "org", "name.git", "info", "lfs", "objects", "batch"]:
                return {"transfer": "basic", "objects": [self._wanted(one) for one in json.loads(body)["objects"]]}, 200
            case ["lfs", oid]:
                hub.stored[oid] = body
                return {}, 200
            case ["api", "datasets", "org", "name", "commit", "main"]:
                return self._commit(body), 200
        return {"error": f"no {path}"}, 404

    def _before(self, path: str) -> dict[str, Any]:
        content, is_large = self.hub.files.get(path), path.endswith(".parquet")
        told = {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
        if content is None:
            return told
        blob = f"blob {len(content)}\0".encode() + content
        of_git = hashlib.sha1(blob).hexdigest()  # noqa: S324  # as git names blobs
        return told | {"oid": hashlib.sha256(content).hexdigest() if is_large else of_git}

    def _wanted(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.hub.stored:
            return one
        href = f"{self.hub.uploads_at or self.hub.address}/lfs/{one['oid']}?X-Amz-Signature={SIGNATURE}"
        return one | {"actions": {"upload": {"href": href, "header": {}}}}

    def _commit(self, body: bytes) -> dict[str, Any]:
        hub = self.hub
        commit: dict[str, Any] = {"message": "", "added": [], "deleted": []}
        for line in map(json.loads, body.splitlines()):
            told = line["value"]
            match line["key"]:
                case "header":
                    commit["message"] = told["summary"]
                case "file":
                    hub.files[told["path"]] = base64.b64decode(told["content"])
                    commit["added"].append(told["path"])
                case "lfsFile":
                    hub.files[told["path"]] = hub.stored[told["oid"]]
                    commit["added"].append(told["path"])
                case "deletedFile":
                    del hub.files[told["path"]]
                    commit["deleted"].append(told["path"])
        hub.commits.append(commit)
        return {
            "success": True,
            "commitOid": hub.head,
            "commitUrl": f"{hub.address}/datasets/org/name/commit/{hub.head}",
        }

    def _reply(self, value: Any, status: int) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def hub_running() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
