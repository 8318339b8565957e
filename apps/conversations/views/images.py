"""Doors of images: attach one, see one's own, and see one of a shared chat."""

from uuid import UUID

from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.conversations.errors import ImageNotTaken
from apps.conversations.selectors.images import data_url, image_get, image_get_shared, image_id_for
from apps.conversations.services.images import file_read, image_keep
from apps.conversations.services.turns import require_may_chat
from apps.conversations.stored_images import ChatImage
from apps.conversations.views.support import actor_of, for_people
from apps.moderation.choices import Surface
from apps.moderation.images import images_pass

ALONE = "default-src 'none'; sandbox"
"""The policy of an image that is opened by itself."""


@require_POST
@for_people
def attach(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require_may_chat(actor)
    upload = request.FILES.get("image")
    if not isinstance(upload, UploadedFile):
        raise ImageNotTaken(reason="there is no file in the field 'image'")
    _connection_leave()
    file = file_read(upload.read(), upload.content_type or "")
    image_id = image_id_for(actor, file.digest)
    urls = [data_url(file.media_type, file.data)]
    _connection_leave()
    async_to_sync(images_pass)(urls, surface=Surface.CHAT, actor=actor, reference=str(image_id))
    image = image_keep(actor=actor, file=file, public_id=image_id)
    url = reverse("chat:image", args=[image.public_id])
    return JsonResponse({"id": str(image.public_id), "url": url, "width": image.width, "height": image.height})


@require_GET
@for_people
def image(request: HttpRequest, image_id: UUID) -> HttpResponse:
    return _shown(image_get(actor_of(request), image_id), "private, max-age=86400, immutable")


@require_GET
@for_people
def shared_image(request: HttpRequest, token: str, image_id: UUID) -> HttpResponse:
    """Asked for at each look: the link may have been revoked."""
    response = _shown(image_get_shared(token, image_id), "no-store")
    response["X-Robots-Tag"] = "noindex, noarchive"
    return response


def _connection_leave() -> None:
    """Reading and judging an image may take seconds, and the pool has few connections: others may have this one."""
    if not connection.in_atomic_block:
        connection.close()


def _shown(image: ChatImage, keeping: str) -> HttpResponse:
    """Nothing but an image, whatever a browser makes of it."""
    response = HttpResponse(bytes(image.data), content_type=image.media_type)
    kind = image.media_type.removeprefix("image/")
    response["Content-Disposition"] = f'inline; filename="image.{kind}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = ALONE
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = keeping
    return response
