"""Which shapes of records there are in files, and how each becomes a `Record`. Pure but for the opening of files."""
