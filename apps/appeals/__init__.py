"""Appeals: whoever thinks that moderation was wrong about a text says so, and a moderator answers."""
