"""Training runs: requests, progress, checkpoints and curves."""
