"""The mathematics of the leaderboard: numpy alone, no Django, no clock, no random numbers but from a given seed.

From bottom to top: `battles` (what happened, as arrays) · `graph` (who can be compared) · `ties` (three models of a
tie) · `layout` (parameters) · `existence` (is there a maximum) · `fit` (it) · `intervals` (how sure, and the ranks) ·
`matrices`, `elo`, `influence` · `board` (all of it together). docs/ratings.md has the formulas and an example by hand.
"""
