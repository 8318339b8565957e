"""The HTTP face of a worker: OpenAI's wire format, generations that outlive their reader, health, metrics, lease."""
