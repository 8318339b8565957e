"""Admin pages of accounts: `people` (users, groups, visitors, keys), `usage` (limits, the ledger)."""

from apps.accounts.admin import people, usage

__all__ = ["people", "usage"]
