"""See `apps.core.threads`."""

from apps.core.threads import in_thread

__all__ = ["in_thread"]
