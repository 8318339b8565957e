"""Request fields in JSON Schema's words. Only what is honoured is here: what is refused by name needs no documentation.

Source: OpenAI API reference; vLLM, "Extra parameters".
"""

from typing import Any

Json = dict[str, Any]


def text(words: str, **more: Any) -> Json:
    return {"type": "string", "description": words, **more}


def number(words: str, low: float | None = None, high: float | None = None, **more: Any) -> Json:
    return {"type": "number", "description": words, **_range(low, high), **more}


def whole(words: str, low: int | None = None, high: int | None = None, **more: Any) -> Json:
    return {"type": "integer", "description": words, **_range(low, high), **more}


def flag(words: str) -> Json:
    return {"type": "boolean", "description": words, "default": False}


def listing(items: Json, words: str, **more: Any) -> Json:
    return {"type": "array", "items": items, "description": words, **more}


def record(properties: Json, *required: str, **more: Any) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **more}


def _range(low: float | None, high: float | None) -> Json:
    return {name: value for name, value in (("minimum", low), ("maximum", high)) if value is not None}


TOKEN_IDS = listing({"type": "integer", "minimum": 0}, "Token ids.")
MODEL = {"model": text("The name of a model, as /v1/models lists it.", minLength=1, pattern="^[^\\u0000]*$")}
END_USER = {
    "user": text("Whom you ask for. It is written to the site's log beside the request id.", maxLength=256),
    "safety_identifier": text("The newer name of `user`.", maxLength=256),
}

GENERATION: Json = {
    "n": whole("How many answers.", 1, 128, default=1),
    "best_of": whole("May only say the same as `n`.", 1, 128),
    "stream": flag("Send the answer as server-sent events while it is written."),
    "stream_options": record({"include_usage": flag("Send the usage as one more event.")}),
    "stop": {
        "oneOf": [text("One text."), listing({"type": "string"}, "Several.", maxItems=64)],
        "description": "Texts before which the answer ends.",
    },
    "stop_token_ids": TOKEN_IDS,
    "seed": whole("The same seed gives the same answer."),
    "logit_bias": {"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
    "temperature": number("0 takes always the likeliest token.", 0, 2),
    "top_p": number("Draw among the likeliest tokens that together have this probability.", 0, 1),
    "top_k": whole("Draw among so many of the likeliest tokens; -1 among all.", -1),
    "min_p": number("Leave out tokens less likely than this share of the likeliest.", 0, 1),
    "repetition_penalty": number("Above 1 makes tokens less likely that occurred already."),
    "presence_penalty": number("Above 0 makes tokens less likely that were written already.", -2, 2),
    "frequency_penalty": number("The same, for each time that they were.", -2, 2),
    "max_tokens": whole("The longest answer.", 1),
    "min_tokens": whole("The shortest answer.", 0),
    "ignore_eos": flag("Go on when the model would end."),
    "response_format": record({"type": text("", enum=["text", "json_object", "json_schema"])}, "type"),
    "guided_json": {"type": "object", "description": "A JSON schema that the answer follows."},
    "guided_regex": text("A regular expression that the answer follows."),
    "guided_choice": listing({"type": "string"}, "The answer is one of these."),
    "guided_grammar": text("A grammar in EBNF that the answer follows."),
}

MESSAGE = record(
    {
        "role": text("", enum=["system", "developer", "user", "assistant", "tool"]),
        "content": {
            "oneOf": [
                {"type": "string"},
                listing(record({"type": text("", enum=["text"]), "text": text("")}, "type", "text"), "Parts."),
            ],
            "nullable": True,
        },
        "tool_calls": listing({"type": "object"}, "Of the assistant."),
        "tool_call_id": text("Of a tool: which call this answers."),
    },
    "role",
)
