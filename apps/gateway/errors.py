"""What can go wrong between the table of backends and a running nginx."""

from apps.core.errors import SiteError, Whose


class NoBackends(SiteError):
    """The table is empty."""

    code = "gateway.no_backends"
    http_status = 409
    whose = Whose.USER


class FileNotWritten(SiteError):
    """The file cannot be written where it was asked for."""

    code = "gateway.file_not_written"


class NginxRefused(SiteError):
    """nginx does not accept its configuration, or could not be told to read it again."""

    code = "gateway.nginx_refused"
