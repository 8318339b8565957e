"""A chart by itself: outside of the site's pages nobody knows its colours by their names. Pure."""

import re

COLOURS = {
    "paper": "#fcfbf8",
    "ink": "#1e1d1a",
    "ink-soft": "#5d5950",
    "line": "#dfdbd0",
    "accent": "#0e6a5b",
    "danger": "#a3271f",
    "chart-1": "#0e6a5b",
    "chart-2": "#a3271f",
    "chart-3": "#1d4f91",
    "chart-4": "#8a4b00",
    "chart-5": "#8b2a6b",
    "chart-6": "#5d5950",
    "chart-7": "#2d6a2e",
    "chart-8": "#5a3fa0",
}
"""Those of static/css/tokens.css for a light page."""
_TAG = re.compile(r'<[^<>"]*(?:"[^"]*"[^<>"]*)*>')
_NAMED = re.compile(r' (fill|stroke)="var\(--([a-z0-9-]+)\)"')


def standing_alone(svg: str) -> str:
    """The same drawing with the colours themselves, on paper. Raises: KeyError, for a name that no chart has."""
    head, end, rest = svg.partition(">")
    paper = f'<rect width="100%" height="100%" fill="{COLOURS["paper"]}"/>'
    # Not in texts: these are names that others gave, and may look like a colour.
    return _TAG.sub(lambda tag: _NAMED.sub(_coloured, tag[0]), f"{head}{end}{paper}{rest}")


def _coloured(named: re.Match[str]) -> str:
    return f' {named[1]}="{COLOURS[named[2]]}"'
