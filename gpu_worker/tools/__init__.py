"""Tools: how models of each family write calls, and how their text is read back into calls. Pure; no torch, no HTTP."""
