"""All writes of conversations and their rules: turns, conversations as a whole, generations.

They take an `Actor` where a person acts, and never trust an id that came with one.
"""
