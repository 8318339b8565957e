"""Arenas: who meets whom in a battle, what is shown of it and when, and the votes.

Answers are written, kept and recovered by `apps.conversations`: each side of a battle is a conversation of its own.
"""
