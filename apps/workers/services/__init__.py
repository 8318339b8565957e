"""All writes to the pool: leases, assignments, what admins do. They speak to no worker; that is `relay`'s business."""
