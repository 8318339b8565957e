"""What every template may use."""

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, str]:
    """The name that the operator gave to the site."""
    return {"site_name": settings.SITE_NAME}
