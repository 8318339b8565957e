"""`manage.py workers`: the pool from the command line: see it, let workers in, take them out."""

import os
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.errors import SiteError
from apps.workers import selectors
from apps.workers.models import Worker
from apps.workers.services import administration, enrolment

SECRETS_VARIABLE = "FASTCHAT_WORKER_SECRETS"

ACTIONS: dict[str, tuple[str, Callable[[Worker], None]]] = {
    "drain": ("drained", lambda worker: administration.worker_drain(worker, is_drained=True)),
    "undrain": ("put back", lambda worker: administration.worker_drain(worker, is_drained=False)),
    "remove": ("removed", administration.worker_remove),
    "restore": ("restored", administration.worker_restore),
}


class Command(BaseCommand):
    help = "List, let in, drain and remove workers. Example: manage.py workers token --label gpu7 --allow 10.0.0.0/8"

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="print every worker with state, models, queue and last error")
        token = verbs.add_parser("token", help="print a token with which one worker can enrol, once")
        token.add_argument("--label", default="", help="what it is for")
        token.add_argument("--hours", type=float, default=24.0, help="how long it can be used (24)")
        register = verbs.add_parser("register", help="let workers of these ids in at once, each with a secret")
        register.add_argument("ids", nargs="+", type=UUID, metavar="UUID", help="the worker's --worker-id")
        for verb in (token, register):
            verb.add_argument(
                "--allow", default="", metavar="NETWORKS", help="where it may be, besides where it calls from"
            )
        verbs.add_parser("reseal", help="encrypt all stored tokens and keys with the first of ENCRYPTION_KEYS")
        for name in ACTIONS:
            verbs.add_parser(name).add_argument("worker", help="its id as `list` prints it, or the first characters")

    def handle(self, *args: object, **options: object) -> None:
        verb = str(options["verb"])
        try:
            match verb:
                case "list":
                    self._list()
                case "token":
                    self._token(options)
                case "register":
                    self._register(options)
                case "reseal":
                    self.stdout.write(f"encrypted anew: {administration.tokens_reseal()}")
                case _:
                    self._act(verb, str(options["worker"]))
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _list(self) -> None:
        now = timezone.now()
        for worker in selectors.workers_with_models():
            models = ", ".join(f"{h.model.name} ({h.state})" for h in worker.hosted.all())
            where = f"{worker.label} at {worker.base_url}" if worker.is_provider else worker.base_url
            cells = [str(worker.public_id)[:8], worker.state(now), where, models, f"queue {worker.queue}"]
            self.stdout.write("\t".join([*cells, f"weight {worker.weight:g}", worker.last_error]).rstrip("\t"))

    def _token(self, options: dict[str, object]) -> None:
        hours = float(str(options["hours"]))
        if not 0 < hours <= 24 * 365:
            raise CommandError("--hours must be more than 0 and at most a year")
        life = timedelta(hours=hours)
        new = enrolment.token_create(label=str(options["label"]), allowed=str(options["allow"]), life=life)
        self.stderr.write(f"Keep this token: it cannot be shown again. One worker may use it, within {hours:g} hours.")
        self.stdout.write(new.secret)

    def _register(self, options: dict[str, object]) -> None:
        """Secrets come from the environment, or are made and printed; never from the command line."""
        ids: list[UUID] = options["ids"]  # type: ignore[assignment]
        given = os.environ.get(SECRETS_VARIABLE, "")
        known = given.split(",") if given else [enrolment.secret_create() for _ in ids]
        if len(known) != len(ids):
            raise CommandError(f"{SECRETS_VARIABLE} has {len(known)} secrets for {len(ids)} workers")
        for worker_id, secret in zip(ids, known, strict=True):
            enrolment.worker_register(worker_id=worker_id, secret=secret, allowed=str(options["allow"]))
            self.stdout.write(str(worker_id) if given else f"{worker_id}\t{secret}")

    def _act(self, verb: str, prefix: str) -> None:
        found = [worker for worker in Worker.objects.all() if str(worker.public_id).startswith(prefix)]
        if len(found) != 1:
            raise CommandError(
                f"{len(found)} workers have an id that begins with {prefix!r}; see `manage.py workers list`"
            )
        done, act = ACTIONS[verb]
        act(found[0])
        self.stdout.write(f"{done}: {found[0]}")
