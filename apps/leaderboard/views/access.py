"""Who may open a page of an arena's leaderboard. Every page and every download passes here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.actors import Actor, actor_get
from apps.arena.errors import ArenaNotFound
from apps.arena.models import Arena
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.selectors import arena_get
from apps.leaderboard.models import Snapshot
from apps.leaderboard.selectors import snapshot_newest


@dataclass(frozen=True, slots=True)
class Place:
    """An arena, and who looks at it."""

    actor: Actor
    arena: Arena


def of_arena(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Make a view of (request, Place, ...) one of (request, slug, ...).

    Where visitors may not chat they are led to sign in, and strangers find no arena.
    """

    @wraps(view)
    def checked(request: HttpRequest, slug: str = DEFAULT_SLUG, **rest: Any) -> HttpResponseBase:
        actor = actor_get(request.user, request.COOKIES)
        if not actor.is_authenticated and not settings.VISITORS_MAY_CHAT:
            return redirect_to_login(request.get_full_path())
        try:
            arena = arena_get(actor, slug)
        except ArenaNotFound as exc:
            raise Http404(exc.message) from exc
        return view(request, Place(actor, arena), **rest)

    return never_cache(require_safe(checked))


def snapshot_or_404(arena: Arena, *, is_styled: bool = False) -> Snapshot:
    snapshot = snapshot_newest(arena, is_styled=is_styled)
    if snapshot is None:
        raise Http404("There is no board yet.")
    return snapshot
