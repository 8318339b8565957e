"""Keeps the process that renders one model's chat template, and starts it again when a template broke its limits.

It knows no messages and no HTTP: variables in, text or a failure out.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_worker.prompts import template_process
from gpu_worker.prompts.template_process import MAX_CPU_S, Json, receive, send

PROGRAM = Path(template_process.__file__)

MAX_WAIT_S = 60.0
"""The limits are in processor time; this is for a machine that gives the process none."""

CLOSED = "is closed: the model is not served any more"

KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TZ")


class TemplateFailed(Exception):
    """A text could not be rendered. The message is half a sentence whose subject is the template."""


class TemplateRefused(TemplateFailed):
    """The template ran and raised an error, such as one about the order of roles."""


class TemplateSyntaxWrong(TemplateFailed):
    """The template is no Jinja template."""


class TemplateLimitExceeded(TemplateFailed):
    """The template used more time or memory, or made more text, than any honest one."""


class TemplateRunner:
    """Renders the chat templates of one model. Safe to use from several threads; one text at a time."""

    def __init__(self, templates: dict[str, str], variables: Json) -> None:
        """`variables`: what is the same for each text, such as `bos_token`."""
        self._opening = {"templates": templates, "variables": variables}
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], int | None] = lambda: None
        self._is_closed = False

    def render(self, template: str, variables: Json) -> str:
        """The text that the template of this name makes. Raises: TemplateFailed."""
        with self._lock:
            answer = self._ask({"template": template, "variables": variables})
        match answer:
            case {"text": str(text)}:
                return text
            case {"refusal": str(reason)}:
                raise TemplateRefused(f"refuses them: {reason}")
            case {"syntax": str(reason)}:
                raise TemplateSyntaxWrong(f"is no valid one: {reason}")
            case {"limit": str(reason)}:
                raise TemplateLimitExceeded(f"was stopped: {reason}")
        raise TemplateFailed("gave no answer that can be read")

    def close(self) -> None:
        """End the process, also in the midst of a text. Nothing can be rendered any more."""
        self._is_closed = True  # before the lock: whoever waits for it must not start another text
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._stop()

    def _ask(self, request: Json) -> Json:
        try:
            channel = self._open()
            send(channel, request)
            answer = receive(channel)
        except UnicodeEncodeError as exc:
            raise TemplateFailed("cannot be given text that holds half of a surrogate pair") from exc
        except TimeoutError as exc:
            self._stop()
            raise TemplateLimitExceeded(f"was stopped: it did not answer within {MAX_WAIT_S:g} s") from exc
        except OSError:  # the process ended while it was spoken to: how it ended is the answer
            answer = None
        if answer is None:
            code = self._stop()
            raise TemplateFailed(CLOSED) if self._is_closed else _death(code)
        return answer

    def _open(self) -> socket.socket:
        if self._is_closed:
            raise TemplateFailed(CLOSED)
        if self._channel is None:
            channel, process = _start()
            # Called at most once: by `_stop`, or when nobody holds this runner any more, or at the interpreter's end.
            self._end = weakref.finalize(self, _end, channel, process)
            self._process = process
            send(channel, self._opening)
            self._channel = channel
        return self._channel

    def _stop(self) -> int | None:
        """Returns the exit code of the process, None if there was none."""
        self._channel = self._process = None
        return self._end()


def _start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", str(PROGRAM)],
            stdin=theirs.fileno(),
            env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            # Ctrl-C in a terminal reaches every process of its group; this one ends when it is closed.
            start_new_session=True,
        )
    ours.settimeout(MAX_WAIT_S)
    return ours, process


def _end(channel: socket.socket, process: subprocess.Popen[bytes]) -> int:
    channel.close()
    try:
        return process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _death(code: int | None) -> TemplateFailed:
    if code is not None and -code == signal.SIGPROF:
        return TemplateLimitExceeded(f"was stopped: it takes more than {MAX_CPU_S:g} s of computing")
    return TemplateLimitExceeded(f"was stopped: its process ended with code {code}")


def special_tokens(tokenizer: Any) -> Json:
    """The tokenizer's special tokens by the names that templates use, such as `bos_token`."""
    return {name: _plain(value) for name, value in tokenizer.special_tokens_map.items()}


def _plain(value: object) -> object:
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)
