"""The Responses API over chat completions: requests, items and events translated, answers kept, work in the background.

What a model is asked is a chat like any other, by the same relay; nothing here talks to a worker by itself.
"""
