"""How much one of many battles about the same prompt counts, so that no prompt makes up a board. Pure.

FastChat draws by lot which battles about a frequent prompt stay. Here all of them stay, each with less weight: no
board depends on a draw.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from apps.leaderboard.rating.battles import FloatArray, IntArray

LEAST = 10
SHARE = 0.001
"""A prompt has at most so much of all battles, and at least `LEAST` of them."""
UNKNOWN = 0
_CHARS_READ = 10_000
"""Source: FastChat, fastchat/serve/monitor/deduplication.py."""


def shares(prompts: IntArray) -> FloatArray:
    """What each battle counts, by numbers of prompts; those whose prompt is not known count in full."""
    _, which, counts = np.unique(prompts, return_inverse=True, return_counts=True)
    limit = max(LEAST, len(prompts) * SHARE)
    return np.where(prompts == UNKNOWN, 1.0, np.minimum(1.0, limit / counts[which]))


def prompt_number(row: Mapping[str, Any]) -> int:
    """The same for the same user messages of side A."""
    turns = row.get("conversation_a") or ()
    asked = [
        str(turn.get("content") or "") for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"
    ]
    return text_number("\n".join(asked)[:_CHARS_READ]) if asked else UNKNOWN


def text_number(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def share_in(row: Mapping[str, Any]) -> float | None:
    """What a file says of one of its rows: ours by `prompt_share`, FastChat's by `dedup_tag`."""
    share, tag = row.get("prompt_share"), row.get("dedup_tag")
    if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
        return float(share)
    if isinstance(tag, Mapping) and isinstance(tag.get("sampled"), bool):
        return 1.0 if tag["sampled"] else 0.0
    return None
