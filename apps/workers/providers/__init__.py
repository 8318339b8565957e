"""Other people's servers as workers: what kinds there are, and how each is asked and read. No SDK, plain HTTP.

`kinds` is the registry, `calls` the door; `chat_completions` and `messages` are the languages, pure functions of JSON.
What a provider cannot do is refused by name and never left out. See docs/adr/0006-providers-over-plain-http.md.
"""
