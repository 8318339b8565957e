"""The doors of /v1: authenticate, parse, ask the pool or a service, answer in OpenAI's shapes."""
