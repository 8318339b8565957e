"""The web processes behind nginx: which there are, which answer, and the configuration that nginx makes of it."""
