"""Moderation in JSON Schema's words."""

from apps.openai_api.schema.fields import listing, record, text

REQUEST = record(
    {
        "input": {
            "description": "A text, or up to 32.",
            "oneOf": [{"type": "string"}, listing({"type": "string"}, "Texts.", minItems=1, maxItems=32)],
        },
        "model": text("The site's own moderation in any case; one of OpenAI's names, or none.", nullable=True),
    },
    "input",
    example={"input": "How are you?"},
)

RESPONSE = record(
    {
        "id": text(""),
        "model": text("The classifier's, or `rules`."),
        "results": listing(
            record(
                {
                    "flagged": {"type": "boolean"},
                    "categories": {"type": "object", "additionalProperties": {"type": "boolean"}},
                    "category_scores": {"type": "object", "additionalProperties": {"type": "number"}},
                    "category_applied_input_types": {"type": "object"},
                },
                "flagged",
                "categories",
                "category_scores",
            ),
            "One for each text.",
        ),
    },
    "id",
    "model",
    "results",
)
