"""What of an answer may be seen before the names are told: all but what its model thought first.

Thoughts are not what is judged, and whether a model thinks, and how it speaks of itself there, would tell which it is.
Pure.
"""

from apps.conversations.markdown.thoughts import CLOSE, OPEN


def spoken(text: str, *, is_whole: bool = True) -> str:
    """The answer without its thoughts; of one that is still written, nothing as long as these may go on."""
    beginning = text.lstrip()
    if beginning.startswith(OPEN):
        return beginning.partition(CLOSE)[2].lstrip()
    may_become_thoughts = not is_whole and OPEN.startswith(beginning)
    return "" if may_become_thoughts else text
