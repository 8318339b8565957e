"""`python -m gpu_worker serve`: options, the socket, signals and the order of starting and stopping.

The port answers at once; torch is imported and models are loaded behind it.
"""

import argparse
import asyncio
import logging
import os
import re
import secrets
import socket
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from gpu_worker.engine.interface import EngineKind
from gpu_worker.modeling.source import AdapterSpec, ModelSpec, Quantisation
from gpu_worker.prompts.conversation import TemplateUnknown, find_template, templates
from gpu_worker.server.identity import IdentityUnusable, read_identity
from gpu_worker.server.models import MAX_MODELS, ServingOptions

STOP_S = 5.0
"""For engines to end their step, and for replies to be sent, once draining is over."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where to listen and whom to tell."""

    specs: list[ModelSpec]
    host: str
    port: int
    site: str | None
    base_url: str | None
    worker_id: str
    speed: float
    drain_s: float
    access_token: str
    enrolment_token: str
    secret: str
    identity: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    site_ca: Path | None
    serving: ServingOptions


class UsageError(Exception):
    """The options do not make sense together. The message is a sentence."""


def main(argv: Sequence[str]) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "transformers", "huggingface_hub", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Read by OpenMP when torch is imported. Threads that spin while they wait make a step ten times slower as soon as
    # anything else wants a core, such as the web server on the same machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options = read_options(argv, os.environ)
        listener = listen(options.host, options.port)
    except (UsageError, OSError) as exc:
        sys.stderr.write(f"gpu_worker serve: {exc}\n")
        return 2
    import uvloop

    from gpu_worker.server.serving import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(options, listener))


def read_options(argv: Sequence[str], environment: "os._Environ[str] | dict[str, str]") -> ServeOptions:
    """Secrets come from the environment, never from the command line, which everybody can read. Raises: UsageError."""
    given = _parser().parse_args(argv)
    enrolment_token = environment.get("FASTCHAT_ENROLMENT_TOKEN", "")
    worker_id, secret = _identity(given, environment.get("FASTCHAT_WORKER_SECRET", ""))
    if given.site and not enrolment_token and not secret:
        raise UsageError(
            "--site needs an enrolment token in the environment, FASTCHAT_ENROLMENT_TOKEN (manage.py workers token "
            "makes one), or the --identity of a worker that has enrolled before"
        )
    if bool(given.tls_cert) != bool(given.tls_key):
        raise UsageError("--tls-cert and --tls-key need each other")
    access_token = environment.get("FASTCHAT_WORKER_ACCESS_TOKEN", "")
    if not given.site and not access_token:
        raise UsageError("without --site, the environment must name an access token: FASTCHAT_WORKER_ACCESS_TOKEN")
    if given.site and not given.base_url and given.host in ("0.0.0.0", "::"):  # noqa: S104 - refused, not bound
        raise UsageError(f"--host {given.host} is every address of this machine; say with --base-url which one to use")
    _check_names(given.model, given.adapter)
    return ServeOptions(
        specs=_with_engines(_with_templates(_quantised(given.model, given.quantize), given.template), given.engine),
        host=given.host,
        port=given.port,
        site=given.site,
        base_url=given.base_url,
        worker_id=worker_id,
        speed=given.speed,
        drain_s=given.drain_s,
        access_token=access_token or secrets.token_urlsafe(32),
        enrolment_token=enrolment_token,
        secret=secret,
        identity=given.identity,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        site_ca=given.site_ca,
        serving=ServingOptions(
            device=given.device,
            dtype=given.dtype,
            max_batch=given.max_batch,
            max_queue=given.max_queue,
            max_context=given.max_context,
            threads=given.threads,
            max_memory=given.max_memory,
            adapters=tuple(given.adapter),
            models_dir=given.models_dir,
            load_from_hub=given.load_from_hub,
        ),
    )


def _identity(given: argparse.Namespace, secret: str) -> tuple[str, str]:
    """The worker's id and its secret, which is empty before it has enrolled. Raises: UsageError."""
    if secret and (given.identity or not given.worker_id):
        raise UsageError(
            "FASTCHAT_WORKER_SECRET goes with --worker-id, and not with --identity, which keeps another one"
        )
    try:
        kept = read_identity(given.identity) if given.identity else None
    except IdentityUnusable as exc:
        raise UsageError(str(exc)) from exc
    if kept is None:
        return str(given.worker_id or uuid.uuid4()), secret
    if given.worker_id not in (None, uuid.UUID(kept.worker_id)):
        raise UsageError(f"--identity {given.identity} is that of worker {kept.worker_id}, not of {given.worker_id}")
    return kept.worker_id, kept.secret


def _check_names(models: list[ModelSpec], adapters: list[AdapterSpec]) -> None:
    """Raises: UsageError."""
    names = [spec.name for spec in models] + [spec.name for spec in adapters]
    if len(set(names)) != len(names):
        raise UsageError(f"two models have the same name; give them names with PATH=NAME: {', '.join(names)}")
    if len(names) > MAX_MODELS:
        raise UsageError(f"a worker serves at most {MAX_MODELS} models and adapters, not {len(names)}")
    for adapter in adapters:
        if adapter.base not in {spec.name for spec in models}:
            raise UsageError(f"--adapter names the base {adapter.base!r}, and no --model has that name")


def _with_engines(specs: list[ModelSpec], given: list[tuple[str | None, EngineKind]]) -> list[ModelSpec]:
    """What `--engine` says for a model by its name, else what it says for all. Raises: UsageError."""
    for_one = dict(given)
    if len(for_one) != len(given):
        raise UsageError("--engine says two things for the same model")
    for name in for_one:
        if name is not None and name not in {spec.name for spec in specs}:
            raise UsageError(f"--engine names the model {name!r}, and no --model has that name")
    return [replace(spec, engine=for_one.get(spec.name, for_one.get(None))) for spec in specs]


def _quantised(specs: list[ModelSpec], given: list[tuple[str | None, Quantisation | None]]) -> list[ModelSpec]:
    """What `--quantize` says for a model by its name, else what it says for all. Raises: UsageError."""
    for_one = dict(given)
    if len(for_one) != len(given):
        raise UsageError("--quantize says two things for the same model")
    names = {spec.name for spec in specs}
    for name in for_one:
        if name is not None and name not in names:
            raise UsageError(f"--quantize names the model {name!r}, and no --model has that name")
    return [replace(spec, quantisation=for_one.get(spec.name, for_one.get(None))) for spec in specs]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker serve",
        description="Load models and serve them over HTTP. Tokens come from the environment: "
        "FASTCHAT_ENROLMENT_TOKEN with --site, unless --identity is known there; FASTCHAT_WORKER_ACCESS_TOKEN without.",
        epilog=f"templates: {', '.join(templates())}",
    )
    add = parser.add_argument
    add(
        "--model",
        action="append",
        required=True,
        type=_spec,
        metavar="PATH_OR_HUB_ID[@REVISION][=NAME]",
        help="repeatable",
    )
    add(
        "--quantize", action="append", default=[], type=_quantisation, metavar="[NAME=]int8|nf4|none", help="repeatable"
    )
    add(
        "--adapter",
        action="append",
        default=[],
        type=_adapter,
        metavar="BASE=PATH_OR_HUB_ID[@REVISION][=NAME]",
        help="a LoRA adapter of the model BASE, served as a model of its own; repeatable",
    )
    add("--engine", action="append", default=[], type=_engine, metavar="[NAME=]torch|llamacpp|vllm", help="repeatable")
    add("--max-memory", type=_memory, metavar="N[KiB|MiB|GiB]", help="for weights and caches (default: what is free)")
    add("--template", action="append", default=[], metavar="NAME=TEMPLATE", help="prompt format of a model; repeatable")
    add("--site", type=_url, metavar="URL", help="enrol with this site; without it, serve alone")
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", default=0, type=_bounded(0, 65535), help="0 picks a free one (default)")
    add("--base-url", type=_url, metavar="URL", help="where the site reaches this worker (default: where it listens)")
    add("--device", default="auto", type=_device, help="auto, cpu, cuda, cuda:N or cuda:N,M (default %(default)s)")
    add("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default %(default)s")
    add("--models-dir", type=_folder, metavar="DIR", help="models in it may be loaded by request (default: none)")
    add("--load-from-hub", action="store_true", help="models of the hub may be loaded by request")
    add("--threads", type=_bounded(1, 1024), metavar="N", help="CPU threads for torch (default: one per core)")
    add("--max-batch", default=64, type=_bounded(1, 4096), metavar="N", help="requests computed together (%(default)s)")
    add("--max-queue", default=256, type=_bounded(0, 100_000), metavar="N", help="requests that may wait (%(default)s)")
    add("--max-context", type=_bounded(1, 2**31), metavar="N", help="tokens (default: what the model was made for)")
    add("--worker-id", type=uuid.UUID, metavar="UUID", help="this worker's id at the site (default: random)")
    add("--identity", type=Path, metavar="FILE", help="keep id and secret here, to come back after a restart")
    add("--tls-cert", type=_file, metavar="FILE", help="serve HTTPS with this certificate chain (PEM)")
    add("--tls-key", type=_file, metavar="FILE", help="its private key (PEM)")
    add("--site-ca", type=_file, metavar="FILE", help="believe the site's certificate if these sign it (PEM)")
    add("--speed", default=1.0, type=_speed, help="relative speed, for dispatch (default %(default)s)")
    add("--drain-s", default=10.0, type=_seconds, metavar="S", help="time to finish when told to stop (%(default)s)")
    return parser


def _with_templates(specs: list[ModelSpec], choices: list[str]) -> list[ModelSpec]:
    """Raises: UsageError."""
    chosen: dict[str, str] = {}
    for choice in choices:
        model, is_pair, template = choice.rpartition("=")
        if not is_pair or model not in {spec.name for spec in specs} or model in chosen:
            raise UsageError(f"--template takes NAME=TEMPLATE once for each model that is served, found {choice!r}")
        try:
            chosen[model] = find_template(template).name
        except TemplateUnknown as exc:
            raise UsageError(f"--template {choice}: {exc}") from exc
    return [replace(spec, template=chosen.get(spec.name)) for spec in specs]


def _spec(text: str) -> ModelSpec:
    try:
        return ModelSpec.parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _quantisation(text: str) -> tuple[str | None, Quantisation | None]:
    """A model's name, or None for all, and how to keep its weights. A name may hold `=`: only the last one counts."""
    name, given, kind = text.rpartition("=")
    if kind not in {"none", *Quantisation} or (given and not name):
        raise argparse.ArgumentTypeError(f"expected [NAME=] and one of none, int8 and nf4, found {text!r}")
    return name or None, None if kind == "none" else Quantisation(kind)


def _memory(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?(KiB|MiB|GiB|TiB|B)?", text)
    unit = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}.get(found[3] or "B", 0) if found else 0
    n_bytes = int(float(f"{found[1]}.{found[2] or 0}") * 2**unit) if found else 0
    if n_bytes < 1:
        raise argparse.ArgumentTypeError(f"expected a number of bytes, such as 800MiB or 12GiB, found {text!r}")
    return n_bytes


def _adapter(text: str) -> AdapterSpec:
    try:
        return AdapterSpec.parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _engine(text: str) -> tuple[str | None, EngineKind]:
    name, _, engine = text.rpartition("=")
    if engine not in set(EngineKind):
        raise argparse.ArgumentTypeError(f"expected [NAME=] and one of {', '.join(EngineKind)}, found {text!r}")
    return name or None, EngineKind(engine)


def _folder(text: str) -> Path:
    if not text or not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, found {text!r}")
    return Path(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected a file, found {text!r}")
    return Path(text)


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname or len(text) > 200:
        raise argparse.ArgumentTypeError(f"expected an address that begins with http:// or https://, found {text!r}")
    return text.rstrip("/")


def _device(text: str) -> str:
    if text not in ("auto", "cpu", "cuda") and not re.fullmatch("cuda:[0-9]{1,3}(,[0-9]{1,3})*", text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda, cuda:N or several as cuda:N,M, found {text!r}")
    return text


def _bounded(low: int, high: int) -> "type[int]":
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, found {text!r}")
        return int(text)

    return parse  # type: ignore[return-value]


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, found {text!r}")
    return value


def _speed(text: str) -> float:
    return _number(text, 0.001, 1_000_000)


def _seconds(text: str) -> float:
    return _number(text, 0, 3600)


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything slow: a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise UsageError(f"cannot listen on {host} port {port}: {exc.strerror}") from exc
    listener.listen(1024)
    return listener
