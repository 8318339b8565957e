"""Turn model output, which is hostile text, into HTML that is safe to insert into a page.

Pure: no Django, no I/O. `render` is for a finished text, `BlockStream` for one that is still arriving, `render_user`
for what a person typed. It does not decide when or to whom anything is sent.
"""

from apps.conversations.markdown.rendering import render_user
from apps.conversations.markdown.thoughts import BlockStream, render

__all__ = ["BlockStream", "render", "render_user"]
