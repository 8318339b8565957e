"""Errors of the catalog."""

from apps.core.errors import SiteError, Whose


class ModelUnknown(SiteError):
    """No model of this name is offered to whoever asked."""

    code = "models.unknown"
    http_status = 404
    whose = Whose.USER


class ModelSeesNothing(SiteError):
    """The model reads texts only, and was shown an image."""

    code = "models.sees_nothing"
    http_status = 400
    whose = Whose.USER


class ModelWrongKind(SiteError):
    """The model is there, and does something else: it makes vectors and was asked to write, or the other way round."""

    code = "models.wrong_kind"
    http_status = 400
    whose = Whose.USER
