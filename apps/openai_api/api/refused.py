"""What OpenAI's API has and this one has not: refused by name, to those who have a key."""

from rest_framework.request import Request

from apps.openai_api.api.door import SyncDoor
from apps.openai_api.errors import UnknownPath, UnsupportedEndpoint

UNSUPPORTED = {
    "assistants": "use /v1/chat/completions",
    "audio": "no model here hears or speaks",
    "chatkit": "use /v1/chat/completions",
    "containers": "no code is run here",
    "conversations": "continue a response by its 'previous_response_id'",
    "edits": "use /v1/chat/completions",
    "evals": "evaluate with a program of your own over /v1/chat/completions",
    "fine_tuning": "models are trained with 'manage.py train', see docs/training.md",
    "fine-tunes": "models are trained with 'manage.py train', see docs/training.md",
    "images": "no model here makes images",
    "organization": "keys and people are managed on the site's own pages",
    "responses/compact": "send the items that matter as 'input'",
    "responses/input_tokens": "use /v1/tokenize",
    "realtime": "use /v1/chat/completions with 'stream': true",
    "threads": "use /v1/chat/completions",
    "uploads": "send the whole text in one request",
    "vector_stores": "make vectors with /v1/embeddings and keep them yourself",
    "videos": "no model here makes videos",
}
"""How an address goes on after /v1, and what to do instead."""


class RefusedEndpoint(SyncDoor):
    """Everything that no other door answers."""

    schema = None  # not part of the API's description

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        for family, instead in UNSUPPORTED.items():
            if f"{request.path}/".startswith(f"/v1/{family}/"):
                raise UnsupportedEndpoint(path=request.path, instead=instead)
        raise UnknownPath(path=request.path)
