"""Pages of the leaderboard."""

from django.urls import include, path

from apps.leaderboard import views

leaderboard_patterns = (
    [
        path("leaderboard", views.board, name="board"),
        path("leaderboard/of/<slug:slug>", views.board, name="board-of"),
        path("leaderboard/of/<slug:slug>/board.csv", views.board_csv, name="csv"),
        path("leaderboard/of/<slug:slug>/board.json", views.board_as_json, name="json"),
    ],
    "leaderboard",
)

urlpatterns = [path("", include(leaderboard_patterns))]
