"""What a voter is told about a vote: whether it counts, and why not. What admins alone see is not here."""

from typing import Any

from apps.arena.integrity import UNDISCLOSED, Reason
from apps.arena.models import Vote

WORDS = {
    Reason.IDENTITY_TOLD: "One of the answers told who wrote it.",
    Reason.IDENTITY_ASKED: "A message asked the models by name who they are.",
    Reason.PAIR_KNOWN: "In a rematch it is known who the two are.",
    Reason.EMPTY_ANSWER: "One of the answers was empty.",
    Reason.STOPPED: "The answers were stopped before they were complete.",
    Reason.TOO_FAST: "It came sooner than anybody can read both answers.",
    Reason.TOO_LATE: "It came more than a day after the battle began.",
    Reason.DUPLICATE: "You have voted on this question before.",
}


def told_about(vote: Vote | None) -> dict[str, Any]:
    """Fields of a frame or an API object; all empty without a vote."""
    if vote is None:
        return {"verdict": None, "counts": None, "reasons": []}
    return {"verdict": vote.verdict, "counts": vote.counts, "reasons": [] if vote.counts else _reasons(vote)}


def _reasons(vote: Vote) -> list[str]:
    if vote.overruled:
        return ["An administrator decided so."]
    return [WORDS[Reason(code)] for code in vote.reasons if code not in UNDISCLOSED]
