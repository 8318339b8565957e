"""Pages of the leaderboard."""

from django.urls import include, path

from apps.leaderboard.views import board, downloads, log

leaderboard_patterns = (
    [
        path("leaderboard", board.board, name="board"),
        path("leaderboard/of/<slug:slug>", board.board, name="board-of"),
        path("leaderboard/of/<slug:slug>/board.csv", downloads.board_csv, name="csv"),
        path("leaderboard/of/<slug:slug>/board.json", downloads.board_json, name="json"),
        path("leaderboard/of/<slug:slug>/votes.jsonl", downloads.votes, name="votes"),
        path("leaderboard/of/<slug:slug>/log", log.log, name="log"),
        path("leaderboard/of/<slug:slug>/log.json", log.log_json, name="log-json"),
    ],
    "leaderboard",
)

urlpatterns = [path("", include(leaderboard_patterns))]
