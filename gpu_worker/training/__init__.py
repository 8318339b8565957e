"""Training: formats, masking and packing (no model), and the trainers (torch). Knows nothing of Django."""
