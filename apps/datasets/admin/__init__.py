"""Admin pages of datasets: versions and their rows, for reading; releases and takedowns, to be decided about."""

from apps.datasets.admin import releases, versions

__all__ = ["releases", "versions"]
