"""Files in pieces: written piece by piece, read piece by piece or line by line, never in memory as a whole."""

from collections.abc import AsyncGenerator, Iterable, Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from apps.accounts.actors import Actor
from apps.core.threads import in_thread
from apps.holds.selectors import not_held_require
from apps.openai_api.errors import FilesTooLarge, InvalidRequest
from apps.openai_api.models import ApiFile, FileChunk, Purpose, owner_fields
from apps.openai_api.services.owner_lock import owner_lock

CHUNK_BYTES = 256 * 1024


def file_upload(*, actor: Actor, name: str, purpose: str, pieces: Iterable[bytes]) -> ApiFile:
    """Store what a program sent. Raises: InvalidRequest, FilesTooLarge."""
    if purpose != Purpose.BATCH:
        reason = f"'purpose' must be 'batch', the one use for files here; found {purpose[:40]!r}"
        raise InvalidRequest(reason=reason, param="purpose")
    if not name or len(name) > 255 or "\0" in name:
        raise InvalidRequest(reason="the file's name must have 1 to 255 characters", param="file")
    with transaction.atomic():
        owner_lock(actor)
        used = ApiFile.objects.of_owner(actor).aggregate(n=Sum("n_bytes", default=0))["n"]
        fitting = _within(pieces, settings.API_FILES_MAX_BYTES - used)
        file = file_write(actor=actor, name=name, purpose=Purpose.BATCH, pieces=fitting)
        if not file.n_bytes:
            raise InvalidRequest(reason="the file is empty", param="file")
    return file


def file_write(*, actor: Actor, name: str, purpose: Purpose, pieces: Iterable[bytes]) -> ApiFile:
    """Store pieces of any size as a file of even ones."""
    file = ApiFile.objects.create(**owner_fields(actor), name=name, purpose=purpose)
    for number, chunk in enumerate(_even(pieces)):
        FileChunk.objects.create(file=file, number=number, data=chunk)
        file.n_bytes += len(chunk)
    file.save(update_fields=["n_bytes"])
    return file


def file_delete(file: ApiFile) -> None:
    """A batch that is reading it reads it to the end; one that has read it goes on. Raises: Held."""
    not_held_require(file.kept_by)
    with transaction.atomic():
        # The file first, as a reader takes it: deleting starts with what belongs to it, and the two would deadlock.
        ApiFile.objects.select_for_update().filter(pk=file.pk).first()
        file.delete()


def file_chunk(file_pk: int, number: int) -> bytes | None:
    """None after the last one."""
    data = FileChunk.objects.filter(file_id=file_pk, number=number).values_list("data", flat=True).first()
    return None if data is None else bytes(data)


def file_chunks(file_pk: int) -> Iterator[bytes]:
    """The file's pieces in order, one at a time."""
    number = 0
    while (chunk := file_chunk(file_pk, number)) is not None:
        yield chunk
        number += 1


async def file_stream(file_pk: int) -> AsyncGenerator[bytes, None]:
    """As `file_chunks`, for a reply: an ASGI server would hold all of a plain generator in memory."""
    number = 0
    while (chunk := await in_thread(file_chunk, file_pk, number)) is not None:
        yield chunk
        number += 1


def _within(pieces: Iterable[bytes], n_bytes: int) -> Iterator[bytes]:
    """The pieces, as long as they fit. Raises: FilesTooLarge, before it yields the one that does not."""
    for piece in pieces:
        n_bytes -= len(piece)
        if n_bytes < 0:
            raise FilesTooLarge(limit=settings.API_FILES_MAX_BYTES // 1024 // 1024)
        yield piece


def _even(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)
