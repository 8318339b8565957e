"""The Responses API in JSON Schema's words."""

from apps.openai_api.schema.fields import END_USER, MODEL, Json, flag, listing, number, record, text, whole
from apps.openai_api.schema.stored import METADATA, PAGE

PATH = {"response_id": "The response's id."}
QUERY = {
    "stream": flag("The events of a response that was made with `background`, again or while they come."),
    "starting_after": whole("With `stream`: only the events after the one with this `sequence_number`.", 0),
}
ITEMS_QUERY = {**PAGE, "order": text("`desc`: the newest first.", enum=["desc", "asc"])}

_ITEM = {
    "type": "object",
    "description": "A message, `function_call`, `function_call_output` or `reasoning`.",
    "properties": {
        "type": text("", enum=["message", "function_call", "function_call_output", "reasoning"]),
        "role": text("Of a message.", enum=["user", "assistant", "system", "developer"]),
        "content": {
            "description": "Of a message: a text, or parts of the type `input_text`, `input_image` or `output_text`.",
            "oneOf": [{"type": "string"}, listing({"type": "object"}, "Parts.", minItems=1)],
        },
    },
}
_TOOL_CHOICE = {
    "description": "Whether the model may, must or must not call a function, or which one it must.",
    "oneOf": [
        text("", enum=["none", "auto", "required"]),
        record({"type": text("", enum=["function"]), "name": text("")}, "type", "name"),
    ],
}
_TOOLS = listing(
    record(
        {
            "type": text("", enum=["function"]),
            "name": text(""),
            "description": text(""),
            "parameters": {"type": "object"},
            "strict": flag("Enforce the parameters."),
        },
        "type",
        "name",
    ),
    "Functions that the model may call.",
    maxItems=128,
)
_FORMAT = record(
    {
        "type": text("", enum=["text", "json_object", "json_schema"]),
        "name": text("Of a schema."),
        "schema": {"type": "object"},
        "strict": {"type": "boolean"},
    },
    "type",
)

REQUEST = record(
    {
        **MODEL,
        "input": {
            "description": "A text, or items.",
            "oneOf": [{"type": "string"}, listing(_ITEM, "Items.", minItems=1, maxItems=10_000)],
        },
        "instructions": text("A system message before everything else. It is not taken over by the next response."),
        "previous_response_id": text("Which response this one continues."),
        "store": flag("Keep the response, so that it can be asked for and continued.") | {"default": True},
        "background": flag("Answer later: ask for the response by its id."),
        "stream": flag("Send the response as server-sent events while it is written."),
        "max_output_tokens": whole("The longest answer.", 1),
        "temperature": number("0 takes always the likeliest token.", 0, 2),
        "top_p": number("Draw among the likeliest tokens that together have this probability.", 0, 1),
        "top_logprobs": whole("So many of the likeliest tokens beside each token.", 0, 20),
        "include": listing(
            text("", enum=["message.output_text.logprobs", "reasoning.encrypted_content"]), "What else to tell."
        ),
        "text": record({"format": _FORMAT}),
        "tools": _TOOLS,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": {"type": "boolean", "default": True},
        "metadata": METADATA,
        "truncation": text("", enum=["disabled"]),
        **END_USER,
    },
    "model",
    "input",
    example={"model": "demo-base", "input": "What is 17 + 25?"},
)

RESPONSE: Json = record(
    {
        "id": text(""),
        "object": text("", enum=["response"]),
        "created_at": whole("Unix time."),
        "completed_at": whole("Unix time.") | {"nullable": True},
        "status": text("", enum=["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]),
        "model": text(""),
        "output": listing(_ITEM, ""),
        "usage": record({"input_tokens": whole(""), "output_tokens": whole(""), "total_tokens": whole("")})
        | {"nullable": True},
        "error": record({"code": text(""), "message": text("")}) | {"nullable": True},
        "incomplete_details": record({"reason": text("")}) | {"nullable": True},
        "background": {"type": "boolean"},
        "store": {"type": "boolean"},
        "previous_response_id": text("", nullable=True),
        "metadata": METADATA,
    },
    "id",
    "object",
    "status",
    "output",
)

DELETED = record({"id": text(""), "object": text("", enum=["response"]), "deleted": {"type": "boolean"}})

ITEMS = record(
    {
        "object": text("", enum=["list"]),
        "data": listing(_ITEM, ""),
        "has_more": {"type": "boolean"},
        "first_id": text("", nullable=True),
        "last_id": text("", nullable=True),
    }
)
