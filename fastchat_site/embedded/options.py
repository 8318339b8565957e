"""What the operator asked `launch` for, checked before anything starts.

It looks at the file system to tell a folder from a hub id; it opens no socket and starts nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BadOption
from .paths import REPOSITORY

DEFAULT_MODELS = ("examples/models/demo-base", "examples/models/demo-small")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
ENV_KEY = re.compile(r"[A-Za-z_]\w*")
SITE_PROCESSES = ("postgres", "redis", "migrate", "collectstatic", "web", "jobs")


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model for one worker: an absolute folder or a hub id, and the name it is served under."""

    source: str
    name: str

    @property
    def process(self) -> str:
        """The name of the worker process that serves it."""
        return f"worker-{self.name}"


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Everything `launch` needs to know; `data_dir` and `device` are empty for the default."""

    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: str = ""
    device: str = ""
    jobs: bool = True
    collect_static: bool = False
    models: tuple[ModelChoice, ...] = ()
    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parse_models(values: Sequence[str], *, none: bool = False) -> tuple[ModelChoice, ...]:
    """Read every `PATH_OR_HUB_ID[=NAME]`; by default the two that come with the site, or `none` at all.

    Raises:
        BadOption: a folder is missing or holds no model, or two models would have one name.
    """
    if none:
        if values:
            raise BadOption("--no-workers serves no model here, so it cannot be combined with --model.")
        return ()
    choices = tuple(map(_parse_model, values or [str(REPOSITORY / path) for path in DEFAULT_MODELS]))
    names = [choice.name for choice in choices]
    for name in names:
        if names.count(name) > 1:
            raise BadOption(f"Two models are named {name}: give one another name with --model PATH=NAME.")
    return choices


def parse_env(values: Sequence[str], models: Sequence[ModelChoice]) -> dict[str, dict[str, str]]:
    """Read every `PROCESS:KEY=VALUE` into variables by process.

    Raises:
        BadOption: not of that form, or there is no such process.
    """
    known = [*SITE_PROCESSES, *(model.process for model in models)]
    env: dict[str, dict[str, str]] = {}
    for value in values:
        process, colon, assignment = value.partition(":")
        key, equals, setting = assignment.partition("=")
        if not (colon and equals and ENV_KEY.fullmatch(key)):
            # The value may be a secret, so it is not repeated.
            raise BadOption(f"--env {process}:… is not of the form PROCESS:KEY=VALUE.")
        if process not in known:
            raise BadOption(f"--env names the process {process}, but there are only {', '.join(known)}.")
        env.setdefault(process, {})[key] = setting
    return env


def _parse_model(value: str) -> ModelChoice:
    source, equals, name = value.rpartition("=")
    if not equals:
        source, name = value, ""
    folder = Path(source).expanduser()
    name = name or folder.name
    if not NAME.fullmatch(name):
        raise BadOption(f"--model {value}: “{name}” is no name; use letters, digits, dot, dash, underscore.")
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BadOption(f"--model {value}: the folder {folder} holds no model (it has no config.json).")
        return ModelChoice(source=str(folder.resolve()), name=name)
    if not HUB_ID.fullmatch(source):
        raise BadOption(f"--model {value}: there is no folder {folder}, and it is not a hub id of the form org/name.")
    return ModelChoice(source=source, name=name)
