"""Chats and battles of this site as input: of people who let them be used for training, and of nobody else.

They are written into a file beside the output first, so that a run has one state of them from its beginning to its end.
"""
