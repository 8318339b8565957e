"""What the API looks like, for /api/schema: words for people and generators of clients. It checks nothing."""
