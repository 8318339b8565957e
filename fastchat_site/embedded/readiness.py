"""How one knows that a process is ready: an HTTP answer, or a line in its log.

Each check is a small value that is asked again and again; none waits longer than its own time-out.
"""

import http.client
import re
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class AnswersHttp:
    """Ready once GET `path` answers 200. Proxies of the environment are not used: this is our own child."""

    host: str
    port: int
    path: str

    def __call__(self, _lines: Sequence[str]) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class LogsLine:
    """Ready once one of its last lines matches `pattern`."""

    pattern: str

    def __call__(self, lines: Sequence[str]) -> bool:
        return any(re.search(self.pattern, line) for line in lines)
