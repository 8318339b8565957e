"""Chats as files: `exports` writes them, the others read what this site and other programs wrote. No requests."""
