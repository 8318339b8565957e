"""Admin pages of the pool."""

from apps.workers.admin import pool, providers

__all__ = ["pool", "providers"]
