"""`manage.py providers`: other people's servers from the command line: add, map models, change the key, try."""

import os
import sys
from argparse import ArgumentParser, BooleanOptionalAction

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.catalog.models import Kind as ModelKind
from apps.core.errors import SiteError
from apps.workers.models import Worker
from apps.workers.providers.kinds import KINDS
from apps.workers.services import checks, providers

KEY_VARIABLE = "FASTCHAT_PROVIDER_KEY"


class Command(BaseCommand):
    help = (
        "Add providers and map their models. The key is read from FASTCHAT_PROVIDER_KEY or from standard input, never "
        "from the command line. Example: manage.py providers add openai --kind openai"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("kinds", help="print every kind with its usual address")
        verbs.add_parser("list", help="print every provider with address, models, limits and last error")
        add = verbs.add_parser("add", help="add a provider")
        add.add_argument("name")
        add.add_argument("--kind", required=True, choices=sorted(KINDS))
        add.add_argument("--base-url", default="", help="with the version at its end; default: as `kinds` prints it")
        key = verbs.add_parser("key", help="give a provider another key, or move it: that needs the key as well")
        key.add_argument("name")
        key.add_argument("--base-url", default="")
        limit = verbs.add_parser("limit", help="bound what a provider is asked; 0 lifts a bound")
        limit.add_argument("name")
        limit.add_argument("--requests-a-minute", type=int)
        limit.add_argument("--tokens-a-minute", type=int)
        limit.add_argument("--at-once", type=int)
        model = verbs.add_parser(
            "map", help="offer a model of the provider under a name of ours, or change how; what is not given stays"
        )
        model.add_argument("name")
        model.add_argument("models", nargs="+", metavar="OURS=THEIRS")
        model.add_argument("--context-length", type=int, help="tokens; needed where limits count tokens; 0: unknown")
        model.add_argument("--longest-answer", type=int, help="tokens that the provider lets an answer have; 0: any")
        model.add_argument(
            "--sees-images", action=BooleanOptionalAction, help="whether chats with it may have images; at first not"
        )
        does = model.add_mutually_exclusive_group()
        does.add_argument("--embedding", dest="makes", action="store_const", const=ModelKind.EMBEDDING)
        does.add_argument("--text", dest="makes", action="store_const", const=ModelKind.TEXT, help="the usual case")
        unmap = verbs.add_parser("unmap", help="offer a model no longer from this provider")
        unmap.add_argument("name")
        unmap.add_argument("model")
        verbs.add_parser("check", help="ask a provider for its models, which costs nothing").add_argument("name")

    def handle(self, *args: object, **options: object) -> None:
        verb, name = str(options["verb"]), str(options.get("name", ""))
        try:
            match verb:
                case "kinds":
                    self._kinds()
                case "list":
                    self._list()
                case "add":
                    kind, base_url = str(options["kind"]), str(options["base_url"])
                    added = providers.provider_create(label=name, kind=kind, base_url=base_url, key=_key())
                    self.stdout.write(f"added: {added} at {added.base_url}")
                case "key":
                    self._key(_provider(name), str(options["base_url"]))
                case "limit":
                    self._limit(_provider(name), options)
                case "map":
                    self._map(_provider(name), options)
                case "unmap":
                    providers.model_unmap(_provider(name), str(options["model"]))
                    self.stdout.write(f"no longer offered from {name}: {options['model']}")
                case _:
                    self._check(_provider(name))
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _kinds(self) -> None:
        for kind in KINDS.values():
            self.stdout.write(f"{kind.name}\t{kind.label}\t{kind.base_url}")

    def _list(self) -> None:
        now = timezone.now()
        for worker in Worker.objects.exclude(kind="").order_by("label").prefetch_related("hosted__model"):
            models = ", ".join(sorted(f"{h.model.name}={h.upstream_name}" for h in worker.hosted.all()))
            key = "no key" if not worker.sealed_token else f"key …{worker.token_hint}"
            found = f"check: {worker.check_problem}" if worker.check_problem else ""
            cells = [
                worker.label,
                worker.kind,
                worker.state(now),
                worker.base_url,
                key,
                models,
                found,
                worker.last_error,
            ]
            self.stdout.write("\t".join(cells).rstrip("\t"))

    def _key(self, worker: Worker, base_url: str) -> None:
        key = _key()
        if not key:
            raise CommandError(f"Give the key in {KEY_VARIABLE} or on standard input.")
        providers.provider_change(worker, base_url=base_url or worker.base_url, key=key)
        self.stdout.write(f"the next request to {worker} takes the new key")

    def _limit(self, worker: Worker, options: dict[str, object]) -> None:
        fields = {
            "max_requests_per_minute": options["requests_a_minute"],
            "max_tokens_per_minute": options["tokens_a_minute"],
            "max_running": options["at_once"],
        }
        given = {field: int(str(value)) for field, value in fields.items() if value is not None}
        if any(value < 0 for value in given.values()):
            raise CommandError("A bound is a number from 1, or 0 for none.")
        Worker.objects.filter(pk=worker.pk).update(**{field: value or None for field, value in given.items()})
        worker.refresh_from_db()
        limits = worker.limits
        told = [limits.requests_per_minute, limits.tokens_per_minute, limits.running]
        words = ("requests a minute", "tokens a minute", "requests at once")
        self.stdout.write(", ".join(f"{word}: {n or 'any'}" for word, n in zip(words, told, strict=True)))

    def _map(self, worker: Worker, options: dict[str, object]) -> None:
        pairs = [str(pair).partition("=") for pair in options["models"]]  # type: ignore[attr-defined]  # a list
        names = [ours for ours, _, _ in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CommandError(f"{twice[0]!r} is given twice, and a name is one model of a provider.")
        for ours, _, theirs in pairs:
            hosted = providers.model_map(
                worker,
                name=ours,
                upstream_name=theirs or ours,
                context_length=options["context_length"],  # type: ignore[arg-type]  # argparse read them as numbers
                longest_answer=options["longest_answer"],  # type: ignore[arg-type]
                kind=options["makes"],  # type: ignore[arg-type]
                sees_images=options["sees_images"],  # type: ignore[arg-type]
            )
            does, context = hosted.model.get_kind_display().lower(), hosted.model.context_length or "unknown"
            told = f"{does}, context {context}, longest answer {hosted.longest_answer or 'any'}"
            told += ", sees images" if hosted.model.sees_images else ""
            self.stdout.write(f"{ours} is {hosted.upstream_name} of {worker}: {told}")

    def _check(self, worker: Worker) -> None:
        if not checks.tells_models(worker):
            self.stdout.write(f"{worker} tells no list of models: only a request shows whether it serves")
            return
        problem = checks.provider_check(worker)
        if problem:
            raise CommandError(f"{worker} may not serve: {problem}")
        self.stdout.write(f"{worker} answers and takes the key")


def _provider(name: str) -> Worker:
    found = Worker.objects.exclude(kind="").filter(label=name).first()
    if found is None:
        raise CommandError(f"There is no provider {name!r}; see `manage.py providers list`.")
    return found


def _key() -> str:
    given = os.environ.get(KEY_VARIABLE)
    return (given if given is not None else "" if sys.stdin.isatty() else sys.stdin.readline()).strip()
