"""Doors of the chat over HTTP: `pages` show, `changes` change."""
