"""The OpenAI-compatible API at /v1. It translates shapes and errors; what it asks for is done by other apps."""
