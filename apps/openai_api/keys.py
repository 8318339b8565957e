"""From a request's headers to whoever calls."""

from collections.abc import Mapping
from typing import Any

from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid
from apps.accounts.services import api_key_authenticate
from apps.core.client_ip import client_ip


def actor_of(meta: Mapping[str, Any]) -> Actor:
    """The owner of the key in the `Authorization` header of `request.META`. Raises: KeyInvalid."""
    scheme, _, secret = str(meta.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() != "bearer":
        raise KeyInvalid
    return api_key_authenticate(secret.strip(), client_ip=client_ip(meta))
