"""Lines of `{"messages": [{"role", "content"}]}`, as fine-tuning files have them. Pure.

Source: OpenAI, "Fine-tuning", "Preparing your dataset".
"""

from collections.abc import Iterable, Iterator

from apps.conversations.exchange.drafts import Draft, DraftMessage, list_of, object_of, prompt_of, text_of, title_of
from apps.core.texts import clean_text


def is_openai(line: object) -> bool:
    return isinstance(line, dict) and isinstance(line.get("messages"), list)


def read(lines: Iterable[object]) -> Iterator[Draft]:
    """Raises: ImportRefused."""
    for line in lines:
        entry = object_of(line, "a line")
        draft = Draft(title=title_of(entry.get("title")))
        above = None
        for item in list_of(entry.get("messages"), "'messages' of a line"):
            message = object_of(item, "a message")
            role = text_of(message.get("role"), "the role of a message")
            text = _text(message.get("content"))
            if role in ("system", "developer"):
                draft.system_prompt = draft.system_prompt or prompt_of(text)
            elif role == "tool" or not text.strip():
                draft.n_left_out += 1
            else:
                above = draft.add(DraftMessage(above, role, text))
        yield draft


def _text(content: object) -> str:
    if isinstance(content, str):
        return clean_text(content)
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return clean_text("\n\n".join(text for text in texts if isinstance(text, str)))
