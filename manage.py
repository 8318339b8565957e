#!/usr/bin/env python
"""Django's command line, with this site's settings and, where none is given, its own database."""

import os
import sys


def main() -> None:
    # Here, because each process that a command starts for its work loads this file too.
    from fastchat_site.embedded.needs import cleans_files

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastchat_site.settings.dev")
    if cleans_files(sys.argv):
        # Without services and the site's apps, which take longer to load than thousands of rows to clean.
        from apps.datasets.processes import server_start

        if (os.cpu_count() or 1) > 1:
            server_start()
        from django.db import connections

        from apps.datasets.management.commands.clean import Command

        # Django closes at the end what is open of the databases, and would load all settings to find that nothing is.
        vars(connections)["settings"] = {}
        Command().run_from_argv(sys.argv)
        return

    from django.core.management import execute_from_command_line

    from fastchat_site.embedded.command import services_for_command
    from fastchat_site.embedded.errors import LaunchError

    try:
        with services_for_command(sys.argv, os.environ):
            execute_from_command_line(sys.argv)
    except LaunchError as exc:
        sys.exit(f"{exc}")


if __name__ == "__main__":
    main()
