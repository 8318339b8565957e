"""Files and batches in OpenAI's shapes, and what a request for a batch must say.

Source: OpenAI API reference, "Files" and "Batch".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.forwarding import BATCH_ENDPOINTS
from apps.openai_api.known_fields import ignored
from apps.openai_api.models import ApiFile, Batch, BatchState
from apps.openai_api.selectors import BATCH_MARK, FILE_MARK
from apps.openai_api.shapes import Json, json_object

BATCH_FIELDS = frozenset({"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"})


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A checked request for a batch; whose the file is, is asked later."""

    input_file_id: str
    endpoint: str
    metadata: dict[str, str]
    ignored_fields: tuple[str, ...]


def batch_request(data: object) -> BatchRequest:
    """Raises: InvalidRequest, naming the field."""
    body = json_object(data)
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(body.get(name), str):
            raise InvalidRequest(reason=f"{name!r} must be a text", param=name)
    if body["endpoint"] not in BATCH_ENDPOINTS:
        reason = f"'endpoint' must be one of {', '.join(BATCH_ENDPOINTS)}"
        raise InvalidRequest(reason=reason, param="endpoint")
    if body["completion_window"] != "24h":
        raise InvalidRequest(reason="'completion_window' must be '24h'", param="completion_window")
    if body.get("output_expires_after") is not None:
        raise unsupported("output_expires_after", "files stay until they are deleted")
    return BatchRequest(
        input_file_id=body["input_file_id"],
        endpoint=body["endpoint"],
        metadata=metadata_checked(body.get("metadata")),
        ignored_fields=ignored(body, BATCH_FIELDS),
    )


def metadata_checked(value: object) -> dict[str, str]:
    """Up to 16 short texts by name. Raises: InvalidRequest."""
    fields = {} if value is None else json_object(value, "metadata")
    is_fine = len(fields) <= 16 and all(_is_short(name, 64) and _is_short(text, 512) for name, text in fields.items())
    if not is_fine:
        reason = "'metadata' must be up to 16 texts of up to 512 characters, with names of up to 64"
        raise InvalidRequest(reason=reason, param="metadata")
    return fields


def _is_short(text: object, longest: int) -> bool:
    return isinstance(text, str) and len(text) <= longest and "\0" not in text


def file_object(file: ApiFile) -> Json:
    return {
        "id": f"{FILE_MARK}{file.public_id.hex}",
        "object": "file",
        "bytes": file.n_bytes,
        "created_at": _unix(file.created_at),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def batch_object(batch: Batch) -> Json:
    """`errors` is null unless the input or the key was at fault."""
    ended = {batch.state: _unix(batch.ended_at)}
    return {
        "id": f"{BATCH_MARK}{batch.public_id.hex}",
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": f"{FILE_MARK}{batch.input_file_public_id.hex}",
        "completion_window": "24h",
        "status": batch.state,
        "output_file_id": _file_id(batch.output_file),
        "error_file_id": _file_id(batch.error_file),
        "created_at": _unix(batch.created_at),
        "in_progress_at": _unix(batch.in_progress_at),
        "expires_at": _unix(batch.expires_at),
        "finalizing_at": _unix(batch.finalizing_at),
        "completed_at": ended.get(BatchState.COMPLETED),
        "failed_at": ended.get(BatchState.FAILED),
        "expired_at": ended.get(BatchState.EXPIRED),
        "cancelling_at": _unix(batch.cancelling_at),
        "cancelled_at": ended.get(BatchState.CANCELLED),
        "request_counts": {"total": batch.n_total, "completed": batch.n_completed, "failed": batch.n_failed},
        "metadata": batch.metadata,
    }


def list_object(data: list[Json], *, has_more: bool) -> Json:
    ends: dict[str, Any] = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, "has_more": has_more, **ends}


def _file_id(file: ApiFile | None) -> str | None:
    return None if file is None else f"{FILE_MARK}{file.public_id.hex}"


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
