"""People who sign in, visitors who do not, and API keys."""
