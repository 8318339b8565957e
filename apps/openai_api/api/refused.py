"""What OpenAI's API has and this one has not: refused by name, to those who have a key."""

from rest_framework.request import Request

from apps.openai_api.api.door import SyncDoor
from apps.openai_api.errors import UnknownPath, UnsupportedEndpoint

UNSUPPORTED = {
    "assistants": "use /v1/chat/completions",
    "audio": "no model here hears or speaks",
    "chatkit": "use /v1/chat/completions",
    "containers": "no code is run here",
    "conversations": "send the messages with each request to /v1/chat/completions",
    "edits": "use /v1/chat/completions",
    "evals": "evaluate with a program of your own over /v1/chat/completions",
    "fine_tuning": "models are trained with 'manage.py train', see docs/training.md",
    "fine-tunes": "models are trained with 'manage.py train', see docs/training.md",
    "images": "no model here makes images",
    "moderations": "no moderation model is installed",
    "organization": "keys and people are managed on the site's own pages",
    "responses": "use /v1/chat/completions",
    "realtime": "use /v1/chat/completions with 'stream': true",
    "threads": "use /v1/chat/completions",
    "uploads": "send the whole text in one request",
    "vector_stores": "make vectors with /v1/embeddings and keep them yourself",
    "videos": "no model here makes videos",
}
"""The first part of an address under /v1, and what to do instead."""


class RefusedEndpoint(SyncDoor):
    """Everything that no other door answers."""

    schema = None  # not part of the API's description

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        family = request.path.removeprefix("/v1/").partition("/")[0]
        if family in UNSUPPORTED:
            raise UnsupportedEndpoint(path=request.path, instead=UNSUPPORTED[family])
        raise UnknownPath(path=request.path)
