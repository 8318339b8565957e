"""The site's own processes as they are started: migrate, web, jobs, and one worker per model.

Pure: it writes command lines and environments. Secrets travel in the environment only, and each process gets those that
it needs: a worker knows neither the database nor the key that signs sessions.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .options import LaunchOptions, ModelChoice
from .paths import REPOSITORY
from .process import ProcessSpec, always_ready
from .readiness import AnswersHttp, LogsLine

QUEUES = "default,batches,data,judge,gpu"
# A worker may first have to fetch many gigabytes from a hub.
WORKER_START_LIMIT_S = 1800.0
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
NOT_FOR_WORKERS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS")


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a worker is at the site: the launcher enrols its workers itself."""

    worker_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What the processes of one launch share; `env` is complete, with URLs and secrets."""

    options: LaunchOptions
    data_dir: Path
    env: Mapping[str, str]

    @property
    def reachable_host(self) -> str:
        """An address at which this machine reaches the site."""
        return WILDCARD_HOSTS.get(self.options.host, self.options.host)

    @property
    def address(self) -> str:
        """What to open in a browser on this machine."""
        return f"http://{_in_url(self.reachable_host)}:{self.options.port}"

    def preparations(self, identities: Mapping[str, WorkerIdentity]) -> list[ProcessSpec]:
        """What runs to its end before the site is served: the tables, the workers' secrets, and static files if the
        settings want them so."""
        ids = [identity.worker_id for identity in identities.values()]
        known = ",".join(identity.secret for identity in identities.values())
        steps = [self._preparation("migrate", "prepare", *ids, FASTCHAT_WORKER_SECRETS=known)]
        if self.options.collect_static:
            steps.append(self._preparation("collectstatic", "collectstatic", "--noinput"))
        return steps

    def _preparation(self, name: str, *arguments: str, **env: str) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "manage.py", *arguments),
            env=self._env(name, **env),
            cwd=REPOSITORY,
            ready=always_ready,
        )

    def web(self) -> ProcessSpec:
        """The ASGI server, one process."""
        options = self.options
        argv = (
            sys.executable, "-m", "uvicorn", "fastchat_site.asgi:application", "--host", options.host,
            "--port", str(options.port), "--timeout-graceful-shutdown", "5",
            "--no-proxy-headers",  # else any program on this machine could say that it comes from elsewhere
        )  # fmt: skip
        env = self._env("web", ALLOWED_HOSTS=self._allowed_hosts())
        ready = AnswersHttp(self.reachable_host, options.port, "/ready")
        return ProcessSpec(name="web", argv=argv, env=env, cwd=REPOSITORY, ready=ready, address=self.address)

    def jobs(self) -> ProcessSpec:
        """Celery with its clock; threads, because jobs wait for others (workers, child processes) most of the time."""
        argv = (
            sys.executable, "-m", "celery", "-A", "fastchat_site.celery:app", "worker", "--beat",
            "--schedule", str(self.data_dir / "jobs" / "beat-schedule"), "--pool", "threads", "--concurrency", "2",
            "-Q", QUEUES, "--hostname", "jobs@%h", "--loglevel", "INFO", "--without-gossip", "--without-mingle",
        )  # fmt: skip
        ready = LogsLine(r"jobs@\S+ ready\.")
        return ProcessSpec(name="jobs", argv=argv, env=self._env("jobs"), cwd=REPOSITORY, ready=ready)

    def worker(self, model: ModelChoice, *, port: int, identity: WorkerIdentity) -> ProcessSpec:
        """The GPU worker of one model."""
        argv = [
            sys.executable, "-m", "gpu_worker", "serve", "--model", f"{model.source}={model.name}",
            "--site", self.address, "--host", "127.0.0.1", "--port", str(port), "--worker-id", identity.worker_id,
        ]  # fmt: skip
        if self.options.device:
            argv += ["--device", self.options.device]
        env = {key: value for key, value in self._env(model.process).items() if key not in NOT_FOR_WORKERS}
        return ProcessSpec(
            name=model.process,
            argv=tuple(argv),
            env={**env, "FASTCHAT_WORKER_SECRET": identity.secret, **self.options.env.get(model.process, {})},
            cwd=REPOSITORY,
            ready=AnswersHttp("127.0.0.1", port, "/ready"),
            address=f"http://127.0.0.1:{port}",
            start_limit_s=WORKER_START_LIMIT_S,
        )

    def _env(self, process: str, **more: str) -> dict[str, str]:
        return {**self.env, **more, **self.options.env.get(process, {})}

    def _allowed_hosts(self) -> str:
        """The operator's, and those by which the workers and the readiness check call."""
        hosts = [host for host in self.env.get("ALLOWED_HOSTS", "").split(",") if host]
        return ",".join(dict.fromkeys([*hosts, *LOOPBACK_HOSTS, _in_url(self.reachable_host)]))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
