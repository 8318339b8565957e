"""Pages of the leaderboard."""

from django.urls import include, path

from apps.leaderboard.views import board, charts, downloads, live, log, model

leaderboard_patterns = (
    [
        path("leaderboard", board.board, name="board"),
        path("leaderboard/of/<slug:slug>", board.board, name="board-of"),
        path("leaderboard/of/<slug:slug>/board.csv", downloads.board_csv, name="csv"),
        path("leaderboard/of/<slug:slug>/board.json", downloads.board_json, name="json"),
        path("leaderboard/of/<slug:slug>/votes.jsonl", downloads.votes, name="votes"),
        path("leaderboard/of/<slug:slug>/charts", charts.chart, name="charts"),
        path("leaderboard/of/<slug:slug>/charts/<slug:kind>", charts.chart, name="chart"),
        path("leaderboard/of/<slug:slug>/charts/<slug:kind>.csv", charts.chart_csv, name="chart-csv"),
        path("leaderboard/of/<slug:slug>/charts/<slug:kind>.json", charts.chart_json, name="chart-json"),
        path("leaderboard/of/<slug:slug>/models/<uuid:contestant_id>", model.model, name="model"),
        path("leaderboard/of/<slug:slug>/live", live.live, name="live"),
        path("leaderboard/of/<slug:slug>/live.json", live.live_json, name="live-json"),
        path("leaderboard/of/<slug:slug>/log", log.log, name="log"),
        path("leaderboard/of/<slug:slug>/log.json", log.log_json, name="log-json"),
    ],
    "leaderboard",
)

urlpatterns = [path("", include(leaderboard_patterns))]
