"""The verbs of `manage.py dataset`: their arguments, and what they print."""
