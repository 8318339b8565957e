"""What can go wrong before and while the site's processes run, in words for the person at the terminal.

These never reach a browser or an API client: their one door is a management command, or a test.
"""


class LaunchError(Exception):
    """Root of everything the launcher refuses or gives up on; the message is a whole sentence for the operator."""

    code = "launch.failed"


class DataDirUnusable(LaunchError):
    """The data directory cannot be made, written, reached by the service user, or is not ours."""

    code = "launch.data_dir_unusable"


class AlreadyRunning(LaunchError):
    """Another launcher holds the lock of this data directory."""

    code = "launch.already_running"


class BinariesMissing(LaunchError):
    """The wheel that carries a server's binary is not installed, or is not for this machine."""

    code = "launch.binaries_missing"


class WrongPostgresVersion(LaunchError):
    """The data directory was written by another major version of Postgres."""

    code = "launch.postgres_version"


class InitdbFailed(LaunchError):
    """Postgres could not create its data directory (disk full, no such user, …)."""

    code = "launch.initdb_failed"


class ServiceNotReady(LaunchError):
    """An embedded service ended, or did not answer within its limit."""

    code = "launch.service_not_ready"


class ProcessCannotStart(LaunchError):
    """A process of the site ended before it was ready, or was not ready within its limit."""

    code = "launch.process_cannot_start"


class PortTaken(LaunchError):
    """Something else listens where the site should."""

    code = "launch.port_taken"


class BadOption(LaunchError):
    """An option of the command line names something that does not exist or makes no sense."""

    code = "launch.bad_option"
