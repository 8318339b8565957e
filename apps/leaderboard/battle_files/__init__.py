"""FastChat's clean-battle files and logs.

`fastchat_log` makes rows of logs, `rows` checks fields, `rules` say what does not count, `style`, `categories` and
`frequency` say what else a board may ask of a row, `columns` keeps the rows that count as numbers, and `reading` does
all of it.
"""
