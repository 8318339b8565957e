"""Whole request and response bodies of the doors behind which a model works."""

from apps.openai_api.schema.fields import (
    END_USER,
    GENERATION,
    MESSAGE,
    MODEL,
    TOKEN_IDS,
    Json,
    flag,
    listing,
    record,
    text,
    whole,
)

MESSAGES = listing(MESSAGE, "The conversation so far.", minItems=1)

CHAT_REQUEST = record(
    {
        **MODEL,
        "messages": MESSAGES,
        **GENERATION,
        "max_completion_tokens": whole("The newer name of `max_tokens`.", 1),
        "logprobs": flag("Tell how likely each token was."),
        "top_logprobs": whole("And so many of the likeliest others.", 0, 20),
        "tools": listing({"type": "object"}, "Functions that the model may call.", maxItems=128),
        "tool_choice": {"description": "`none`, `auto`, `required`, or an object that names a function."},
        "parallel_tool_calls": {"type": "boolean", "default": True},
        **END_USER,
    },
    "model",
    "messages",
    example={"model": "demo-base", "messages": [{"role": "user", "content": "What is 17 + 25?"}]},
)

COMPLETION_REQUEST = record(
    {
        **MODEL,
        "prompt": {
            "description": "A text, token ids, or a list of either.",
            "oneOf": [
                {"type": "string"},
                listing({"type": "string"}, "Texts."),
                TOKEN_IDS,
                listing(TOKEN_IDS, "Several."),
            ],
        },
        **GENERATION,
        "max_tokens": whole("The longest answer; 0 only with `echo`, to score a prompt.", 0, default=16),
        "logprobs": whole("How likely each token was, and so many of the likeliest others.", 0, 5),
        "echo": flag("Begin the answer with the prompt."),
        **END_USER,
    },
    "model",
    "prompt",
    example={"model": "demo-base", "prompt": "The capital of France is", "max_tokens": 8},
)

EMBEDDING_REQUEST = record(
    {
        **MODEL,
        "input": {
            "description": "A text, token ids, or a list of up to 2048 of either.",
            "oneOf": COMPLETION_REQUEST["properties"]["prompt"]["oneOf"],
        },
        "encoding_format": text("`base64` is little-endian float32.", enum=["float", "base64"], default="float"),
        "dimensions": whole("Shorter vectors, from models that were made for it.", 1),
        **END_USER,
    },
    "model",
    "input",
    example={"model": "my-embedder", "input": ["an owl", "a fox"]},
)

ENGINE_EMBEDDING_REQUEST = record(
    {name: field for name, field in EMBEDDING_REQUEST["properties"].items() if name != "model"}, "input"
)

TOKENIZE_REQUEST = record(
    {
        **MODEL,
        "messages": MESSAGES,
        "add_generation_prompt": flag("With `messages`: end where the answer begins.") | {"default": True},
        "prompt": text("Instead of `messages`: a text."),
        "add_special_tokens": flag("With `prompt`: as the model reads a text.") | {"default": True},
    },
    "model",
    oneOf=[{"required": ["messages"]}, {"required": ["prompt"]}],
)

TOKENIZE_RESPONSE = record(
    {
        "count": whole("How many tokens."),
        "max_model_len": whole("How many the model reads at most."),
        "tokens": TOKEN_IDS,
        "rendered": text("Of a chat: the text that the model reads."),
    },
    "count",
    "max_model_len",
    "tokens",
)

TOKEN_CHECK_REQUEST = record(
    {
        "prompts": listing(
            record(
                {**MODEL, "prompt": text("A text."), "max_tokens": whole("Room for an answer.", 0)},
                "model",
                "prompt",
                "max_tokens",
            ),
            "",
            minItems=1,
            maxItems=100,
        )
    },
    "prompts",
)

TOKEN_CHECK_RESPONSE = record(
    {"prompts": listing(record({"fits": {"type": "boolean"}, "tokenCount": whole(""), "contextLength": whole("")}), "")}
)

USAGE = record({"prompt_tokens": whole(""), "completion_tokens": whole(""), "total_tokens": whole("")})

_COMMON: Json = {"id": text(""), "object": text(""), "created": whole("Unix time."), "model": text(""), "usage": USAGE}

CHAT_RESPONSE = record(
    {
        **_COMMON,
        "choices": listing(
            record({"index": whole(""), "message": MESSAGE, "finish_reason": text("")}, "index", "message"), ""
        ),
    }
)

COMPLETION_RESPONSE = record(
    {
        **_COMMON,
        "choices": listing(
            record({"index": whole(""), "text": text(""), "finish_reason": text("")}, "index", "text"), ""
        ),
    }
)

EMBEDDING_RESPONSE = record(
    {
        "object": text("", enum=["list"]),
        "model": text(""),
        "data": listing(record({"object": text(""), "index": whole(""), "embedding": {}}), ""),
        "usage": record({"prompt_tokens": whole(""), "total_tokens": whole("")}),
    }
)

MODEL_RESPONSE = record(
    {
        "id": text("The name."),
        "object": text("", enum=["model"]),
        "created": whole("Unix time."),
        "owned_by": text("The organisation."),
        "context_length": whole("Tokens.") | {"nullable": True},
        "modalities": record({"input": listing({"type": "string"}, ""), "output": listing({"type": "string"}, "")}),
        "state": text("", enum=["ready", "loading", "unavailable"]),
    },
    "id",
    "object",
)

MODELS_RESPONSE = record({"object": text("", enum=["list"]), "data": listing(MODEL_RESPONSE, "")}, "object", "data")

ERROR = record(
    {
        "error": record(
            {
                "message": text("What happened and what to do."),
                "type": text(""),
                "param": text("The field at fault.") | {"nullable": True},
                "code": text("Stable, for programs.") | {"nullable": True},
            },
            "message",
            "type",
            "param",
            "code",
        )
    },
    "error",
)
