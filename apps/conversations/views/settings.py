"""Doors of the panel in which a chat is set up, and of presets."""

from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import (
    NAMES,
    NUMBERS,
    SYSTEM_PROMPT_MAX_CHARS,
    ChatSettings,
    settings_fields,
    settings_parse,
)
from apps.conversations.errors import SignInRequired
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.settings import preset_id_of, presets_list, settings_of
from apps.conversations.services.settings import conversation_configure, preset_delete, preset_name_checked, preset_save
from apps.conversations.services.turns import require_may_chat
from apps.conversations.setup import names_pass, settings_pass
from apps.conversations.views.support import actor_of, for_people


@never_cache
@require_GET
@for_people
def panel(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    """The fields as they stand, and the presets to choose from."""
    actor = actor_of(request)
    chat = settings_of(conversation_get(actor, conversation_id)) if conversation_id else ChatSettings()
    fields = settings_fields(chat)
    context = {
        "fields": fields,
        "numbers": [{"field": number, "value": fields[number.name]} for number in NUMBERS],
        "system_prompt_max_chars": SYSTEM_PROMPT_MAX_CHARS,
        "presets": presets_list(actor),
        "may_keep_presets": actor.is_authenticated,
    }
    return render(request, "conversations/_settings.html", context)


@require_POST
@for_people
def save(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    """Of a chat that does not exist yet, the settings are checked here and come again with its first message."""
    actor = actor_of(request)
    settings = settings_parse(_fields(request))
    # Nobody looks at a text of somebody who may not set it here.
    if conversation_id is not None:
        conversation_get(actor, conversation_id)
    else:
        require_may_chat(actor)
    settings = _passed(actor, settings, conversation_id or "")
    if conversation_id is not None:
        conversation_configure(actor=actor, conversation_id=conversation_id, settings=settings)
    return HttpResponse(status=204)


@require_POST
@for_people
def keep_preset(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    if actor.user_id is None:
        raise SignInRequired
    name = preset_name_checked(request.POST.get("preset_name", ""))
    settings = settings_parse(_fields(request))
    preset_id = preset_id_of(actor.user_id, name)  # incidents are found by it
    async_to_sync(names_pass)(actor, [name], reference=str(preset_id))
    preset_save(actor=actor, name=name, settings=_passed(actor, settings, preset_id), new_id=preset_id)
    return JsonResponse({"presets": presets_list(actor)})


@require_POST
@for_people
def forget_preset(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    actor = actor_of(request)
    preset_delete(actor=actor, preset_id=preset_id)
    return JsonResponse({"presets": presets_list(actor)})


def _fields(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "") for name in NAMES}


def _passed(actor: Actor, settings: ChatSettings, reference: UUID | str) -> ChatSettings:
    return async_to_sync(settings_pass)(actor, settings, reference=str(reference))
