"""Errors of the catalog."""

from apps.core.errors import SiteError, Whose


class ModelUnknown(SiteError):
    """No model of this name is offered to whoever asked."""

    code = "models.unknown"
    http_status = 404
    whose = Whose.USER
