"""What a recipe may do to conversations, one idea a module. Pure.

Importing `apps.datasets.steps.all` fills the registry.
"""
