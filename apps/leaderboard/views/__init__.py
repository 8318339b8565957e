"""Pages of the leaderboard: shape only. What they show of a board is made in `apps.leaderboard.pages`."""
