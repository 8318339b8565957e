"""Turn model output, which is hostile text, into HTML that is safe to insert into a page.

Pure: no Django, no I/O. `render` is for a finished text, `BlockStream` for one that is still arriving, `render_user`
for what a person typed, `message_html` for one of either kind that was perhaps asked for before. It does not decide
when or to whom anything is sent.
"""

from apps.conversations.markdown.kept import answer_html, question_html
from apps.conversations.markdown.rendering import IMAGES_AT, render_user
from apps.conversations.markdown.thoughts import BlockStream, render

__all__ = ["BlockStream", "message_html", "render", "render_user"]


def message_html(text: str, *, is_answer: bool, images_at: str = IMAGES_AT) -> str:
    """A stored message as a page shows it. `images_at`: as in `render_user`; only of one's own images HTML is kept."""
    if is_answer:
        return answer_html(text)
    return question_html(text) if images_at == IMAGES_AT else render_user(text, images_at=images_at)
