"""nginx's list of web backends, as text. Pure: what is healthy is found out elsewhere.

Each person stays with one backend by consistent hashing (`deploy/nginx/site.conf` says of what): when a backend comes,
goes or changes its weight, only its share of the people moves. Nginx itself passes over one that refuses connections
and asks the next on the ring.

Source: nginx documentation, ngx_http_upstream_module, "hash" (ketama) and "server".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HOST = r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])\Z"
NAME = r"^[A-Za-z0-9_-]+\Z"


@dataclass(frozen=True, slots=True)
class Backend:
    """One server line. `is_down`: nobody is sent there, but the ring keeps its place."""

    name: str
    host: str
    port: int
    weight: int
    is_down: bool = False

    def __post_init__(self) -> None:
        """Raises: ValueError for what could mean something else to nginx."""
        if not re.match(HOST, self.host) or not re.match(NAME, self.name):
            raise ValueError(f"not a host and a name: {self.host!r}, {self.name!r}")

    def render(self) -> str:
        state = "max_fails=2 fail_timeout=10s" + (" down" if self.is_down else "")
        return f"    server {self.host}:{self.port} weight={self.weight} {state};  # {self.name}"


def upstream(backends: Sequence[Backend]) -> str:
    """The whole file. The order of lines does not depend on the caller's: nginx is not reloaded for nothing."""
    lines = [backend.render() for backend in sorted(backends, key=lambda one: one.name)]
    return "\n".join(
        [
            "# Written by `manage.py gateway_config` from the admin's list of web backends: change it there.",
            "upstream fastchat_site {",
            "    zone fastchat_site 256k;",
            "    hash $fastchat_person consistent;",
            *lines,
            "}",
            "",
        ]
    )
