"""Run by a test as a child process with fschat on its path: renderings of all its templates, as JSON.

Standard input: a list of cases `{"system", "turns"}`, turns beginning with the user's. Output: for each template its
renderings, null where fschat itself cannot render, and what it knows besides. Conversations start empty: examples that
some of its templates bring are left out, and so is every system message but the one of the case.
"""

import json
import sys
from typing import Any

from fastchat.conversation import Conversation, conv_templates  # type: ignore[import-not-found]


def render(template: Conversation, system: str, turns: list[str]) -> str | None:
    conversation = template.copy()
    conversation.messages, conversation.offset = [], 0
    # Where the system message is written into what stands around it, both are replaced.
    if "{system_message}" not in conversation.system_template and conversation.system_template:
        conversation.system_template = "{system_message}"
    conversation.set_system_message(system)
    for index, text in enumerate([*turns, None]):
        conversation.append_message(conversation.roles[index % 2], text)
    try:
        return str(conversation.get_prompt())
    except ValueError:
        return None


def stops(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


cases = json.load(sys.stdin)
answer: dict[str, Any] = {
    name: {
        "renderings": [render(template, case["system"], case["turns"]) for case in cases],
        "stop": stops(template.stop_str),
        "stop_token_ids": list(template.stop_token_ids or []),
    }
    for name, template in conv_templates.items()
}
json.dump(answer, sys.stdout)
