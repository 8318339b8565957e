"""`{% icon "copy" %}`: a picture of templates/_icon.html. A long chat shows thousands, so each is rendered once."""

from functools import cache

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    return render_to_string("_icon.html", {"name": name})
