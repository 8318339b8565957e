"""Legal holds: what must be kept as it is, whatever anybody asks for, until the hold is lifted."""
