"""The program that renders one model's chat template: its own process, with nothing to steal and hard limits.

A chat template is a program that comes with the model. Jinja's sandbox keeps it from Python's insides, but not from
endless loops or `10**10**9`, which would hold the worker's interpreter lock for as long as they run. Here the kernel
ends them: processor time, memory and output are bounded, and no other request notices. Started by
`template_runner.py` as a script; it imports the standard library and jinja2 only, and it keeps no state between texts.

The rendering environment is that of transformers' `apply_chat_template` (trimmed blocks, loop controls, the same
functions), which a test compares; transformers itself would take two seconds to import.
"""

import json
import resource
import signal
import socket
from datetime import datetime
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CPU_S = 2.0
"""For one text, compiling included. Ten thousand messages take a common template a tenth of this."""

MAX_MEMORY_BYTES = 1024 * 1024 * 1024

MAX_RENDERED_CHARACTERS = 16 * 1024 * 1024
"""A template that turns messages into more text than this is broken or hostile."""

MAX_REASON_CHARACTERS = 500

Json = dict[str, Any]


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for training; here it only has its body."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def build_environment() -> ImmutableSandboxedEnvironment:
    """Jinja as chat templates expect it. Source: transformers, "Writing a chat template"."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _tojson(value: object, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: object) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class Renderer:
    """Compiles each template of the model once, when it is first asked for."""

    def __init__(self, templates: dict[str, str], variables: Json) -> None:
        self._templates = templates
        self._variables = variables
        self._environment = build_environment()
        self._compiled: dict[str, Template] = {}

    def answer(self, request: Json) -> Json:
        """`{"text"}`, or `{"refusal"}` by the template, `{"syntax"}` of the template, `{"limit"}` that it broke."""
        try:
            return {"text": self._render(request["template"], request["variables"])}
        except TemplateSyntaxError as exc:
            return {"syntax": f"{_words(exc)} (line {exc.lineno})"}
        except MemoryError:
            return {"limit": f"it needs more than {MAX_MEMORY_BYTES >> 20} MiB of memory"}
        except _TooLong:
            return {"limit": f"it makes more than {MAX_RENDERED_CHARACTERS} characters of them"}
        except Exception as exc:  # whatever a foreign program raises, its user is told
            return {"refusal": _words(exc)}

    def _render(self, name: str, variables: Json) -> str:
        if name not in self._compiled:
            self._compiled[name] = self._environment.from_string(self._templates[name])
        pieces: list[str] = []
        n_characters = 0
        for piece in self._compiled[name].generate(self._variables | variables):
            n_characters += len(piece)
            if n_characters > MAX_RENDERED_CHARACTERS:
                raise _TooLong
            pieces.append(piece)
        return "".join(pieces)


class _TooLong(Exception):
    pass


def _words(exc: Exception) -> str:
    return (str(exc) or type(exc).__name__)[:MAX_REASON_CHARACTERS].encode("utf-8", "replace").decode()


def send(channel: socket.socket, message: Json) -> None:
    """One message: its length in eight bytes, then JSON. Raises: UnicodeEncodeError: half a surrogate pair."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8")
    channel.sendall(len(body).to_bytes(8, "big") + body)


def receive(channel: socket.socket) -> Json | None:
    """The next message; None at the end. Raises: OSError."""
    head = _read(channel, 8)
    body = _read(channel, int.from_bytes(head, "big")) if head else None
    return None if body is None else json.loads(body)


def _read(channel: socket.socket, n_bytes: int) -> bytes | None:
    body = bytearray(n_bytes)
    view = memoryview(body)
    while view:
        n_read = channel.recv_into(view)
        if not n_read:
            return None
        view = view[n_read:]
    return bytes(body)


def main() -> None:
    """Serve one parent over the socket that is standard input, until it closes it."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    channel = socket.socket(fileno=0)
    opening = receive(channel)
    if opening is None:
        return
    renderer = Renderer(opening["templates"], opening["variables"])
    while (request := receive(channel)) is not None:
        # The default action of SIGPROF ends the process, wherever it is: also inside one endless multiplication.
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
        answer = renderer.answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            send(channel, answer)
        except UnicodeEncodeError:
            send(channel, {"refusal": "it makes text that holds half of a surrogate pair"})


if __name__ == "__main__":
    main()
