"""A text-classification model behind OpenAI's moderation endpoint, as a process of its own."""
