"""Charts of a board: `figures` says what is in each; `apps.core.charts` draws them. All of it pure.

`apps.leaderboard.chart_services` draws and keeps them when a board has been made: no request draws one.
"""
