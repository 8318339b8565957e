"""Battles while they are fought: `pacing` says how much may be seen, `feed` shows it to a page."""
