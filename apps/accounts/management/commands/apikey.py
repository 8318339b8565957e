"""`manage.py apikey create|list|revoke`: keys for programs, from the command line."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from apps.accounts import services
from apps.accounts.models import ApiKey, User
from apps.core.errors import SiteError


class Command(BaseCommand):
    help = "Make, list and revoke API keys. Example: manage.py apikey create nightly-eval --user alice"

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="print a new key; it cannot be shown again")
        create.add_argument("name")
        create.add_argument("--user", help="username of the owner; without one the key is the installation's own")
        verbs.add_parser("list", help="print name, prefix, owner and state of every key")
        revoke = verbs.add_parser("revoke", help="make a key useless")
        revoke.add_argument("prefix", help="the first characters of the key, as `list` prints them")

    def handle(self, *args: object, **options: object) -> None:
        match options["verb"]:
            case "create":
                self._create(str(options["name"]), options["user"])
            case "list":
                self._list()
            case "revoke":
                self._revoke(str(options["prefix"]))

    def _create(self, name: str, username: object) -> None:
        user = User.objects.filter(username=username).first() if username else None
        if username and user is None:
            raise CommandError(f"there is no user named {username!r}")
        try:
            new = services.api_key_create(name=name, user=user)
        except SiteError as exc:
            raise CommandError(exc.message) from exc
        self.stderr.write("Keep this key: it is not stored and cannot be shown again.")
        self.stdout.write(new.secret)

    def _list(self) -> None:
        for key in ApiKey.objects.select_related("user"):
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "active"
            self.stdout.write(f"{key.prefix}\t{key.name}\t{key.user or '-'}\t{state}")

    def _revoke(self, prefix: str) -> None:
        found = list(ApiKey.objects.filter(prefix=prefix, revoked_at=None))
        if len(found) != 1:
            raise CommandError(f"{len(found)} active keys have the prefix {prefix!r}; see `manage.py apikey list`")
        services.api_key_revoke(found[0])
        self.stdout.write(f"revoked {found[0].name}")
