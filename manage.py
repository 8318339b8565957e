#!/usr/bin/env python
"""Django's command line, with this site's settings and, where none is given, its own database."""

import os
import sys


def main() -> None:
    # Here, because each process that a command starts for its work loads this file too.
    from django.core.management import execute_from_command_line

    from fastchat_site.embedded.command import services_for_command
    from fastchat_site.embedded.errors import LaunchError

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastchat_site.settings.dev")
    try:
        with services_for_command(sys.argv, os.environ):
            execute_from_command_line(sys.argv)
    except LaunchError as exc:
        sys.exit(f"{exc}")


if __name__ == "__main__":
    main()
