"""Doors of files: export of one or all chats, import."""

from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from apps.conversations.errors import ImportRefused, SignInRequired
from apps.conversations.exchange.exports import CONTENT_TYPES, Format, chat_export, chats_export
from apps.conversations.exchange.reading import drafts_read
from apps.conversations.selectors.exchange import chat_whole_get
from apps.conversations.services.import_gate import drafts_pass
from apps.conversations.services.imports import chats_import, import_alone
from apps.conversations.views.support import actor_of, for_people
from apps.core.errors import NotFound, SiteError

IMPORT_MAX_BYTES = 7 * 1024 * 1024
"""Less than a body may have: see `DATA_UPLOAD_MAX_MEMORY_SIZE`."""


@never_cache
@require_GET
@for_people
def export_one(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    wanted = _format(request)
    chat = chat_whole_get(actor_of(request), conversation_id)
    response = HttpResponse(chat_export(chat, wanted), content_type=CONTENT_TYPES[wanted])
    name = slugify(chat.conversation.title)[:60] or "chat"
    response["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    return response


@never_cache
@require_GET
@for_people
def export_all(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = _format(request)
    response = StreamingHttpResponse(chats_export(actor_of(request), wanted), content_type=CONTENT_TYPES[wanted])
    response["Content-Disposition"] = f'attachment; filename="chats-{timezone.localdate():%Y-%m-%d}.{wanted}"'
    return response


@never_cache
@require_http_methods(["GET", "POST"])
def import_chats(request: HttpRequest) -> HttpResponse:
    """The form, and what became of a file."""
    if request.method == "GET":
        return render(request, "conversations/import.html", {"max_mib": IMPORT_MAX_BYTES // 1024**2})
    try:
        imported = _import(request)
    except SiteError as exc:
        context = {"max_mib": IMPORT_MAX_BYTES // 1024**2, "problem": exc.message}
        return render(request, "conversations/import.html", context, status=exc.http_status)
    messages.success(request, imported)
    return redirect("chat:all")


def _import(request: HttpRequest) -> str:
    """What was imported, in words. Raises: SignInRequired, ImportRefused, TextRefused."""
    actor = actor_of(request)
    if not actor.is_authenticated:
        raise SignInRequired
    file = request.FILES.get("file")
    if file is None or file.size is None:
        raise ImportRefused(reason="there is no file; choose one")
    if file.size > IMPORT_MAX_BYTES:
        raise ImportRefused(reason=f"it is larger than {IMPORT_MAX_BYTES // 1024**2} MiB; split it")
    with import_alone(actor):
        drafts = drafts_read(file.read())
        async_to_sync(drafts_pass)(actor, drafts)
        imported = chats_import(actor=actor, drafts=drafts)
    words = f"{_count(imported.n_chats, 'chat')} with {_count(imported.n_messages, 'message')} imported."
    if imported.n_left_out:
        words += f" {_count(imported.n_left_out, 'message')} without text (images, calls of tools) left out."
    return words


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _format(request: HttpRequest) -> Format:
    """Raises: NotFound."""
    try:
        return Format(request.GET.get("format", Format.JSON))
    except ValueError as exc:
        raise NotFound from exc
