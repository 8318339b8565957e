"""From chat messages to the token ids that a model reads."""
