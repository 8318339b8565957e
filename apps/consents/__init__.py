"""Whether people let what they wrote be used for training. What is then taken of it, `datasets` decides."""
