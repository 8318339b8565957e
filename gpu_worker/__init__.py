"""The GPU side: loads models, generates, trains. It knows no Django, no database and no users."""
