"""All writes of the arena and their rules: who takes part, battles and their turns, votes.

`asking` is what doors call to begin or go on: it lets texts through the gate first. Times and places at which a vote
may be cast are decided here, never by a page.
"""
