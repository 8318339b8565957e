"""Pages of the arena."""

from django.urls import include, path

from apps.arena import views

arena_patterns = (
    [
        path("arena", views.arena, name="arena"),
        path("arena/side-by-side", views.side_by_side, name="side-by-side"),
        path("arena/rules", views.rules, name="rules"),
        path("arena/battles/<uuid:battle_id>", views.battle, name="battle"),
        path("arena/of/<slug:slug>", views.arena, name="arena-of"),
        path("arena/of/<slug:slug>/side-by-side", views.side_by_side, name="side-by-side-of"),
    ],
    "arena",
)

urlpatterns = [path("", include(arena_patterns))]
