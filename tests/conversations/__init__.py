"""Conversations: turns, readers, the socket, the pages."""
