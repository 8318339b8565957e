"""Start the whole site on this machine and keep it running until told to stop.

The order: look for what stands in the way, secrets, services; then tables, web and jobs, with the workers beside them.
How one process is kept running is the business of `supervisor`.
"""

import asyncio
import secrets
import signal
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .child import Say
from .external import check_external_servers
from .guests import closed_to_guests
from .identity import ServiceUser, current_user, service_user
from .logs import RotatingLog
from .options import LaunchOptions
from .paths import data_dir_lock, default_data_dir, prepare_data_dir, read_private_json, write_private_json
from .ports import check_address, free_ports
from .postgres import Postgres, prepare_postgres
from .process import ProcessSpec
from .redis import prepare_redis
from .site import SitePlan, WorkerIdentity
from .supervisor import Supervisor

DEFAULT_SETTINGS = "fastchat_site.settings.dev"
SECRETS = ("SECRET_KEY",)


def launch(options: LaunchOptions, *, environ: Mapping[str, str], say: Say) -> None:
    """Run the site; returns after SIGINT, SIGTERM or SIGHUP, when no process of it is left.

    Raises:
        LaunchError: what stood in the way, or which process could not start; no process is left then either.
    """
    embeds = not (environ.get("DATABASE_URL") and environ.get("REDIS_URL"))
    user = service_user() if embeds else current_user()
    wanted = options.data_dir or environ.get("FASTCHAT_DATA_DIR", "")
    data_dir = default_data_dir(user, wanted=wanted)
    prepare_data_dir(data_dir, user)
    plan = SitePlan(options=options, data_dir=data_dir, env={})
    with data_dir_lock(data_dir, address=plan.address), news_log(data_dir, say) as say:
        check_address(options.host, options.port)
        check_external_servers(environ)
        env = dict(environ) | site_secrets(data_dir, environ) | _site_env(data_dir, environ)
        asyncio.run(_Launch(replace(plan, env=env), user, say).run())


@contextmanager
def news_log(data_dir: Path, say: Say) -> Iterator[Say]:
    """Keep what is said in `launch.log` too: a restart at night should still be readable in the morning."""
    log = RotatingLog(data_dir / "logs" / "launch.log", complain=lambda words: say("site", words))

    def say_and_keep(name: str, words: str) -> None:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {name}: {words}\n".encode())
        say(name, words)

    try:
        yield say_and_keep
    finally:
        log.close()


class _Launch:
    """One run of the site, from the first process to the last."""

    def __init__(self, plan: SitePlan, user: ServiceUser, say: Say) -> None:
        self._plan = plan
        self._user = user
        self._say = say
        self._identities = worker_identities(plan.data_dir, [model.name for model in plan.options.models])
        self._supervisor: Supervisor | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            async with Supervisor(self._plan.data_dir / "logs", say=self._say) as self._supervisor:
                await self._start_all(self._supervisor)
                self._say("site", f"open {self._plan.address}/   (Ctrl-C stops it)")
                await self._supervisor.watch()
        except asyncio.CancelledError:
            self._say("site", "stopped")

    def _on_signal(self, number: signal.Signals) -> None:
        if self._supervisor is not None and self._supervisor.is_stopping:
            self._say("site", f"{number.name}: stopping at once")
            self._supervisor.hurry()
        elif self._task is not None:
            self._say("site", f"{number.name}: stopping; once more to stop at once")
            self._task.cancel()

    async def _start_all(self, supervisor: Supervisor) -> None:
        with ExitStack() as preparing:
            preparing.enter_context(closed_to_guests(self._plan.data_dir))
            self._plan = await self._start_services(supervisor)
            # Workers take the longest to start and need no tables: they call the site until it answers.
            await asyncio.gather(supervisor.start(self._workers()), self._start_site(supervisor, preparing))

    async def _start_site(self, supervisor: Supervisor, preparing: ExitStack) -> None:
        for preparation in self._plan.preparations(self._identities):
            await supervisor.run_once(preparation)
        preparing.close()
        specs = [self._plan.web()]
        if self._plan.options.jobs:
            (self._plan.data_dir / "jobs").mkdir(exist_ok=True, mode=0o700)
            specs.append(self._plan.jobs())
        await supervisor.start(specs)

    def _workers(self) -> list[ProcessSpec]:
        options = self._plan.options
        ports = free_ports(len(options.models), taken=options.port)
        return [
            self._plan.worker(model, port=port, identity=self._identities[model.name])
            for model, port in zip(options.models, ports, strict=True)
        ]

    async def _start_services(self, supervisor: Supervisor) -> SitePlan:
        """Start what the operator has not brought; returns the plan with both URLs."""
        plan, specs = self._plan, list[ProcessSpec]()
        env = dict(plan.env)
        postgres: Postgres | None = None
        if not env.get("DATABASE_URL"):
            postgres = prepare_postgres(plan.data_dir, self._user)
            env["DATABASE_URL"] = postgres.database_url
            specs.append(self._with_env(postgres.process()))
        if not env.get("REDIS_URL"):
            redis = prepare_redis(plan.data_dir, self._user)
            env["REDIS_URL"] = redis.redis_url
            specs.append(self._with_env(redis.process()))
        await supervisor.start(specs)
        if postgres is not None:
            await asyncio.to_thread(postgres.ensure_site_database)
        return replace(plan, env=env)

    def _with_env(self, spec: ProcessSpec) -> ProcessSpec:
        return replace(spec, env={**spec.env, **self._plan.options.env.get(spec.name, {})})


def _site_env(data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    settings = environ.get("DJANGO_SETTINGS_MODULE") or DEFAULT_SETTINGS
    return {"FASTCHAT_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": settings, "PYTHONUNBUFFERED": "1"}


def site_secrets(data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The site's secrets: the operator's, else those made at the first launch."""
    path = data_dir / "secrets.json"
    kept = read_private_json(path)
    missing = [name for name in SECRETS if not environ.get(name) and name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(48) for name in missing}
        write_private_json(path, kept)
    return {name: environ.get(name) or kept[name] for name in SECRETS}


def worker_identities(data_dir: Path, names: list[str]) -> dict[str, WorkerIdentity]:
    """Of each model's worker, the same from launch to launch, so that the site knows it again."""
    path = data_dir / "workers.json"
    kept = read_private_json(path)
    missing = [name for name in names if ":" not in kept.get(name, "")]
    if missing:
        kept |= {name: f"{_id_of(kept.get(name, ''))}:{secrets.token_urlsafe(32)}" for name in missing}
        write_private_json(path, kept)
    return {name: WorkerIdentity(*kept[name].split(":", 1)) for name in names}


def _id_of(kept: str) -> str:
    # Before workers had secrets, the file held ids alone.
    return kept or str(uuid.uuid4())
