"""`manage.py apikey create|list|rotate|revoke`: keys for programs, from the command line."""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts import services
from apps.accounts.errors import KeyInvalid
from apps.accounts.key_scope import KeyScope
from apps.accounts.models import ApiKey, Endpoint, User
from apps.core.errors import SiteError

MAX_OVERLAP_HOURS = 24 * 365


class Command(BaseCommand):
    help = "Make, list and revoke API keys. Example: manage.py apikey create nightly-eval --user alice"

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="print a new key; it cannot be shown again")
        create.add_argument("name")
        create.add_argument("--user", help="username of the owner; without one the key is the installation's own")
        create.add_argument("--model", action="append", default=[], help="restrict it to this model; repeatable")
        create.add_argument(
            "--endpoint", action="append", default=[], choices=Endpoint.values, help="restrict it to this; repeatable"
        )
        create.add_argument("--from", action="append", default=[], help="an address or network; repeatable")
        create.add_argument("--days", type=int, help="for how long it works; for ever without")
        verbs.add_parser("list", help="print name, prefix, owner and state of every key")
        rotate = verbs.add_parser("rotate", help="print a new secret for a key, which stays the same key")
        rotate.add_argument("prefix", help="the first characters of the key, as `list` prints them")
        rotate.add_argument("--overlap-hours", type=float, default=24, help="for how long the old secret still works")
        revoke = verbs.add_parser("revoke", help="make a key useless")
        revoke.add_argument("prefix", help="the first characters of the key, as `list` prints them")

    def handle(self, *args: object, **options: Any) -> None:
        match options["verb"]:
            case "create":
                self._create(str(options["name"]), options["user"], _scope(options))
            case "list":
                self._list()
            case "rotate":
                self._rotate(str(options["prefix"]), _overlap(float(str(options["overlap_hours"]))))
            case "revoke":
                self._revoke(str(options["prefix"]))

    def _create(self, name: str, username: object, scope: KeyScope) -> None:
        user = User.objects.filter(username=username).first() if username else None
        if username and user is None:
            raise CommandError(f"there is no user named {username!r}")
        try:
            new = services.api_key_create(name=name, user=user, scope=scope)
        except SiteError as exc:
            raise CommandError(exc.message) from exc
        self.stderr.write("Keep this key: it is not stored and cannot be shown again.")
        self.stdout.write(new.secret)

    def _list(self) -> None:
        now = timezone.now()
        for key in ApiKey.objects.select_related("user"):
            self.stdout.write(f"{key.prefix}\t{key.name}\t{key.user or '-'}\t{_state(key, now)}")

    def _rotate(self, prefix: str, overlap: timedelta) -> None:
        try:
            new = services.api_key_rotate(_only_one(prefix), overlap=overlap)
        except KeyInvalid as exc:
            raise CommandError(f"{prefix!r} has expired, or its owner is disabled: make a new key") from exc
        self.stderr.write(f"The old secret works until {new.key.previous_expires_at or 'now'}. Keep the new one:")
        self.stdout.write(new.secret)

    def _revoke(self, prefix: str) -> None:
        key = _only_one(prefix)
        services.api_key_revoke(key)
        self.stdout.write(f"revoked {key.name}")


def _scope(options: dict[str, Any]) -> KeyScope:
    days = options["days"]
    try:
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
    except OverflowError as exc:
        raise CommandError(f"--days {days} is after the end of the calendar; leave it out for ever") from exc
    return KeyScope(options["model"], options["endpoint"], options["from"], expires_at)


def _overlap(hours: float) -> timedelta:
    if not 0 <= hours <= MAX_OVERLAP_HOURS:
        raise CommandError(f"--overlap-hours must be from 0 to {MAX_OVERLAP_HOURS}; what leaked should stop at once")
    return timedelta(hours=hours)


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is not None and key.expires_at <= now:
        return f"expired {key.expires_at:%Y-%m-%d}"
    return "active" if key.user is None or key.user.is_active else "owner disabled"


def _only_one(prefix: str) -> ApiKey:
    found = list(ApiKey.objects.filter(prefix=prefix, revoked_at=None))
    if len(found) != 1:
        raise CommandError(
            f"{len(found)} keys that are not revoked have the prefix {prefix!r}; see `manage.py apikey list`"
        )
    return found[0]
