"""How large a request's body may be: files are larger than prompts, and only with a key."""

from django.conf import settings

from apps.accounts.errors import KeyInvalid
from apps.core.body_limit import Scope
from apps.core.threads import in_thread
from apps.openai_api.keys import actor_of

MULTIPART_BYTES = 64 * 1024
"""What a form has around its file."""


async def body_limit(scope: Scope) -> int:
    """In bytes. Without a valid key nobody fills the disk: the door says that it is missing, if it gets so far."""
    if (scope["method"], scope["path"]) != ("POST", "/v1/files"):
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    try:
        await in_thread(actor_of, _meta(scope))
    except KeyInvalid:
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return int(settings.API_FILE_MAX_BYTES) + MULTIPART_BYTES


def _meta(scope: Scope) -> dict[str, str]:
    """As much of `request.META` as says who calls, before there is a request."""
    client = scope.get("client")
    return {
        "REMOTE_ADDR": client[0] if client else "",
        "HTTP_AUTHORIZATION": _joined(scope, b"authorization"),
        "HTTP_X_FORWARDED_FOR": _joined(scope, b"x-forwarded-for"),
    }


def _joined(scope: Scope, wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)
