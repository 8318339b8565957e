"""Files and batches in JSON Schema's words."""

from apps.openai_api.forwarding import BATCH_ENDPOINTS
from apps.openai_api.schema.fields import Json, listing, record, text, whole

FILE_PATH = {"file_id": "The file's id."}
BATCH_PATH = {"batch_id": "The batch's id."}
PAGE = {"after": text("The last id of the page before."), "limit": whole("How many.", 1, 100)}
FILE_PAGE = {**PAGE, "purpose": text("Only files for this: `batch` or `batch_output`.")}
METADATA = {
    "type": "object",
    "maxProperties": 16,
    "additionalProperties": text("Names have up to 64 characters.", maxLength=512),
    "nullable": True,
}

FILE = record(
    {
        "id": text(""),
        "object": text("", enum=["file"]),
        "bytes": whole(""),
        "created_at": whole("Unix time."),
        "filename": text(""),
        "purpose": text("", enum=["batch", "batch_output"]),
        "status": text(""),
    }
)

FILE_REQUEST = record(
    {
        "file": {"type": "string", "format": "binary", "minLength": 1, "description": "JSON lines, one request each."},
        "purpose": text("", enum=["batch"]),
    },
    "file",
    "purpose",
)

DELETED = record({"id": text(""), "object": text(""), "deleted": {"type": "boolean"}})

BATCH_REQUEST = record(
    {
        "input_file_id": text("A file with the purpose `batch`."),
        "endpoint": text("", enum=[*BATCH_ENDPOINTS]),
        "completion_window": text("", enum=["24h"]),
        "metadata": METADATA,
    },
    "input_file_id",
    "endpoint",
    "completion_window",
)

_MOMENTS = (
    "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
    "cancelling_at", "cancelled_at",
)  # fmt: skip

BATCH = record(
    {
        "id": text(""),
        "object": text("", enum=["batch"]),
        "endpoint": text(""),
        "errors": {"type": "object", "nullable": True, "description": "What is wrong with the input file."},
        "input_file_id": text(""),
        "completion_window": text(""),
        "status": text(
            "",
            enum=[
                "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled",
            ],
        ),
        "output_file_id": text("The answers.", nullable=True),
        "error_file_id": text("What was refused, failed or not asked.", nullable=True),
        **{moment: whole("Unix time.") | {"nullable": True} for moment in _MOMENTS},
        "request_counts": record({"total": whole(""), "completed": whole(""), "failed": whole("")}),
        "metadata": {"type": "object"},
    }
)  # fmt: skip


def _page_of(item: Json) -> Json:
    return record({"object": text("", enum=["list"]), "data": listing(item, ""), "has_more": {"type": "boolean"}})


FILES = _page_of(FILE)
BATCHES = _page_of(BATCH)
