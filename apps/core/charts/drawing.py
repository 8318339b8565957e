"""SVG of a specification, without a browser and without the network.

What comes out goes into a page as it is, so it is checked first: shapes and attributes alone, which the strict content
policy allows.
"""

import json
import re
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree

import vl_convert

from apps.core.charts.marks import Spec

VEGA_LITE = "6.4"
VERSION = f"{version('vl-convert-python')}/{VEGA_LITE}"
"""A chart that another version drew is drawn anew."""
_UNDRAWABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold; the library would end the whole process for it. Source: XML 1.0, production [2] Char."""
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_TAGS = {"svg", "g", "path", "rect", "line", "text", "tspan", "title", "desc", "defs", "clipPath"}


class UnsafeDrawing(Exception):
    """The library made something that does not belong into a page."""


def draw(spec: Spec) -> str:
    """Raises: ValueError, for a specification that the library does not understand; UnsafeDrawing."""
    # Numbers that JSON does not know would be read as none; here they are an error.
    text = json.dumps(_drawable(spec), allow_nan=False)
    svg = vl_convert.vegalite_to_svg(text, vl_version=VEGA_LITE, allowed_base_urls=[])
    _check(svg)
    return svg


def _drawable(value: Any) -> Any:
    """The same with characters that cannot be drawn spelled out, so that no two names become one."""
    match value:
        case str():
            return _UNDRAWABLE.sub(lambda found: ascii(found[0])[1:-1], value)
        case dict():
            return {name: _drawable(field) for name, field in value.items()}
        case list():
            return [_drawable(item) for item in value]
    return value


def _check(svg: str) -> None:
    for element in ElementTree.fromstring(svg).iter():  # noqa: S314  # written by the library a moment ago
        if element.tag.removeprefix(_NAMESPACE) not in _TAGS:
            raise UnsafeDrawing(element.tag)
        for name in element.attrib:
            if name == "style" or name.startswith("on") or name.endswith("href"):
                raise UnsafeDrawing(name)
