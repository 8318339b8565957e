"""Pages to Markdown: read by `reading`, written by `writing`. Pure."""
