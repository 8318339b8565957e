"""All writes of files and batches. Doors call these; they take an `Actor` and never trust an id that came with one."""
