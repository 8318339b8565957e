"""Reads of conversations. Whose they are is part of every query a person asks: somebody else's is not found."""
