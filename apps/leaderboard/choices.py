"""Which of a snapshot's boards a page shows: of everything or a category, as voted or with style taken out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf.locale import LANG_INFO

from apps.core.texts import clean_text
from apps.leaderboard.battle_files.categories import CODE, HARD, INSTRUCTIONS, LONG, MATHS, MULTI_TURN
from apps.leaderboard.errors import BoardMissing
from apps.leaderboard.models import CategoryBoard, Snapshot
from apps.leaderboard.rating.slices import OVERALL, Slice

MAIN = Slice(OVERALL, is_styled=False)
CONTROLLED = "controlled"
TITLES = {
    OVERALL: "Overall",
    HARD: "Hard prompts",
    INSTRUCTIONS: "Instructions",
    CODE: "Code",
    MATHS: "Mathematics",
    LONG: "Long",
    MULTI_TURN: "Several turns",
}
_LANGUAGE = "lang_"


@dataclass(frozen=True, slots=True)
class Link:
    """To another board, by the query of its address."""

    title: str
    query: str
    is_here: bool


def chosen(query: Mapping[str, str]) -> Slice:
    """What an address asks for, whether there is such a board or not."""
    return Slice(clean_text(query.get("category", "")) or OVERALL, query.get("style") == CONTROLLED)


def board_chosen(snapshot: Snapshot, of: Slice) -> dict[str, Any]:
    """Raises: BoardMissing."""
    if of == MAIN:
        return dict(snapshot.board)
    found = CategoryBoard.objects.filter(snapshot=snapshot, category=of.category, is_styled=of.is_styled).first()
    if found is None:
        raise BoardMissing
    return dict(found.board)


def query_of(of: Slice, **more: str) -> str:
    """Of an address; what is as it is by default is left out."""
    given = {"category": of.category} if of.category != OVERALL else {}
    if of.is_styled:
        given["style"] = CONTROLLED
    return urlencode(given | more)


def category_links(snapshot: Snapshot, here: Slice) -> list[Link]:
    """To the boards of the same style, the categories in the order of `TITLES`, then languages."""
    found = CategoryBoard.objects.filter(snapshot=snapshot, is_styled=here.is_styled)
    categories = {OVERALL, *found.values_list("category", flat=True)}
    order = [*TITLES, *sorted(categories - TITLES.keys(), key=title_of)]
    return [
        Link(title_of(category), query_of(Slice(category, here.is_styled)), category == here.category)
        for category in order
        if category in categories
    ]


def style_links(here: Slice) -> list[Link]:
    return [
        Link(title, query_of(Slice(here.category, is_styled)), is_styled == here.is_styled)
        for title, is_styled in (("As voted", False), ("With style taken out", True))
    ]


def title_of(category: str) -> str:
    if not category.startswith(_LANGUAGE):
        return TITLES.get(category, category)
    code = category.removeprefix(_LANGUAGE)
    return str(LANG_INFO.get({"zh": "zh-hans", "no": "nb"}.get(code, code), {}).get("name", code))
