"""Answers while they are written: `registry` has this process's readers, `feed` shows one to a page."""
