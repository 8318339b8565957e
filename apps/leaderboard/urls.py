"""Pages of the leaderboard."""

from django.urls import include, path

from apps.leaderboard.views import board, downloads

leaderboard_patterns = (
    [
        path("leaderboard", board.board, name="board"),
        path("leaderboard/of/<slug:slug>", board.board, name="board-of"),
        path("leaderboard/of/<slug:slug>/board.csv", downloads.board_csv, name="csv"),
        path("leaderboard/of/<slug:slug>/board.json", downloads.board_json, name="json"),
        path("leaderboard/of/<slug:slug>/votes.jsonl", downloads.votes, name="votes"),
    ],
    "leaderboard",
)

urlpatterns = [path("", include(leaderboard_patterns))]
