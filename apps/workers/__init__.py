"""The pool: leases, dispatch and the only door to a worker."""
