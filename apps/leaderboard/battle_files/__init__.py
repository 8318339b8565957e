"""FastChat's clean-battle files.

`stream` reads JSON piece by piece, `rows` checks fields, `rules` say what does not count, and `reading` does all of it.
"""
