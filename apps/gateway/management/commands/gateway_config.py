"""`manage.py gateway_config`: write nginx's list of web backends from the admin's, and make nginx read it."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import SiteError
from apps.gateway import services
from apps.gateway.models import WebBackend


class Command(BaseCommand):
    help = (
        "Write nginx's list of web backends, as the admin has them, after asking each whether it is ready. Example: "
        "manage.py gateway_config --output /etc/nginx/fastchat_site_backends.conf --reload"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="what deploy/nginx/site.conf includes; without it, print"
        )
        parser.add_argument("--reload", action="store_true", help="test the configuration and let nginx read it")
        parser.add_argument(
            "--nginx",
            default="nginx",
            metavar="COMMAND",
            help="how to call nginx, such as 'sudo nginx' or 'nginx -c /srv/nginx.conf' (default: nginx)",
        )

    def handle(self, *args: object, **options: object) -> None:
        path = options["output"]
        if options["reload"] and path is None:
            raise CommandError("--reload needs --output: the file that nginx includes")
        try:
            backends = services.backends_check()
            self._tell(backends)
            if not isinstance(path, Path):
                self.stdout.write(services.config_text(backends), ending="")
            elif options["reload"]:
                is_new = services.config_apply(backends, path, shlex.split(str(options["nginx"])))
                self.stderr.write(f"{path} written, nginx reads it" if is_new else "nothing has changed")
            else:
                is_new = services.config_write(backends, path)
                self.stderr.write(f"{path} written" if is_new else "nothing has changed")
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _tell(self, backends: Sequence[WebBackend]) -> None:
        for backend in backends:
            state = "off" if not backend.is_enabled else "ready" if backend.is_healthy else backend.problem
            self.stderr.write(f"{backend}: weight {backend.weight}, {state}")
        if not any(backend.is_enabled and backend.is_healthy for backend in backends):
            self.stderr.write(
                "No backend is ready. All that are not off are listed, so that nginx goes on asking them."
            )
