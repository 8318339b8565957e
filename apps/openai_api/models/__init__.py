"""What programs leave at the API: files and batches in `batches`, answers in `responses`. All of it is `owned`."""

from apps.openai_api.models.batches import (
    UNFINISHED,
    ApiFile,
    Batch,
    BatchLine,
    BatchState,
    FileChunk,
    Purpose,
)
from apps.openai_api.models.owned import OwnedManager, OwnedModel, OwnedQuerySet, owner_fields
from apps.openai_api.models.responses import UNENDED, ResponseState, StoredResponse

__all__ = [
    "UNENDED",
    "UNFINISHED",
    "ApiFile",
    "Batch",
    "BatchLine",
    "BatchState",
    "FileChunk",
    "OwnedManager",
    "OwnedModel",
    "OwnedQuerySet",
    "Purpose",
    "ResponseState",
    "StoredResponse",
    "owner_fields",
]
