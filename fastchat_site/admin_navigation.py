"""The admin's sidebar: each app with its pages, as far as whoever looks may see them, and pages that are no list."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

ICON = "list"
MORE = {
    "workers": [("Pool, live", "admin:workers_pool", "monitoring", "workers.view_worker")],
    "datasets": [("Pages of datasets", "datasets:all", "table_view", "datasets.view_datasetversion")],
}
"""By app: title, view, icon, and the permission that it needs."""


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups for unfold's `SIDEBAR.navigation`."""
    return [
        {"title": app["name"], "items": _items(request, app["app_label"], app["models"])}
        for app in admin.site.get_app_list(request)
    ]


def _items(request: HttpRequest, app_label: str, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    more = [
        {"title": title, "icon": icon, "link": reverse(view)}
        for title, view, icon, permission in MORE.get(app_label, [])
        if request.user.has_perm(permission)
    ]
    lists = [{"title": model["name"], "icon": ICON, "link": model["admin_url"]} for model in models]
    items = [*more, *lists]
    # The address of a page may begin with that of a list: the longest one is where somebody is.
    here = max((item["link"] for item in items if request.path.startswith(item["link"])), key=len, default="")
    return [item | {"active": item["link"] == here} for item in items]
