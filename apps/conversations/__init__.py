"""Conversations, their messages, and answers while they are written."""
