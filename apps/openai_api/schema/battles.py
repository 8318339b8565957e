"""Battles and votes in JSON Schema's words. They are this site's own: OpenAI's API has none."""

from apps.openai_api.schema.fields import Json, flag, listing, record, text

BATTLE_PATH = {"battle_id": "The battle's id."}

_INPUT = text("What both are asked.", minLength=1, maxLength=100_000)
_VERDICTS = ["a", "b", "tie", "both_bad"]
_CONTESTANT = record(
    {
        "name": text(""),
        "model": text(""),
        "organisation": text(""),
        "licence": text(""),
        "description": text(""),
        "rank": {"type": "integer", "nullable": True, "description": "On the arena's newest board, if it has one."},
        "rating": {"type": "number", "nullable": True},
        "board_url": text("The board's path, or nothing."),
    },
    "name",
    "model",
)
_CONTESTANTS: Json = record(
    {"a": _CONTESTANT, "b": _CONTESTANT}, nullable=True, description="Null until they may be known."
)
_TOLD = {
    "verdict": text("", enum=_VERDICTS),
    "counts": {"type": "boolean"},
    "reasons": listing({"type": "string"}, "Why it does not count."),
}

BATTLE_REQUEST = record(
    {
        "input": _INPUT,
        "arena": text("Its name in addresses; the first one if it is left out.", nullable=True),
        "contestants": {
            **listing({"type": "string"}, "Two ids, A's first; without them two are drawn.", minItems=2, maxItems=2),
            "nullable": True,
        },
        "previous_battle": text("Out of which battle this one comes.", nullable=True),
        "follows": {
            **text("How. With `new_opponent` the first message of the battle before is asked again."),
            "enum": ["new_round", "rematch", "new_opponent", None],
            "nullable": True,
        },
    },
    example={"input": "What is 17 + 25?"},
)
MESSAGE_REQUEST = record({"input": _INPUT}, "input", example={"input": "And 17 - 25?"})
VOTE_REQUEST = record({"battle": text("The battle's id."), "verdict": text("", enum=_VERDICTS)}, "battle", "verdict")

BATTLE = record(
    {
        "id": text(""),
        "object": text("", enum=["battle"]),
        "created_at": {"type": "integer"},
        "arena": text(""),
        "is_anonymous": flag("Whether the two were drawn."),
        "status": text("", enum=["running", "ended", "failed"]),
        "turns": listing(
            record({"input": text(""), "a": text("", nullable=True), "b": text("", nullable=True)}, "input"),
            "The answers of the last one are null until both have ended.",
        ),
        "contestants": _CONTESTANTS,
        "vote": record(_TOLD, nullable=True),
        "error": record({"code": text(""), "message": text("")}, nullable=True),
    },
    "id",
    "object",
    "status",
    "turns",
)
VOTE = record(
    {
        "object": text("", enum=["vote"]),
        "battle": text(""),
        "created_at": {"type": "integer"},
        **_TOLD,
        "contestants": _CONTESTANTS,
    },
    "object",
    "battle",
    "verdict",
    "counts",
    "contestants",
)
CONTESTANTS = record(
    {
        "object": text("", enum=["list"]),
        "data": listing(record({"id": text(""), "object": text(""), "name": text("")}, "id", "name"), ""),
    },
    "object",
    "data",
)
