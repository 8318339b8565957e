"""Charts of a board: `figures` says what is in each, `marks` how it looks, `drawing` makes SVG of it. All of it pure.

`apps.leaderboard.chart_services` draws and keeps them when a board has been made: no request draws one.
"""
