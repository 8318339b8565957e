"""Pages of one's own account: `keys`, `usage`."""
