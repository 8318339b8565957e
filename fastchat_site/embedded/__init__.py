"""Everything `manage.py launch` runs as its own children: Postgres, Redis, and the supervisor over all processes.

The embedded services only produce DATABASE_URL and REDIS_URL; nothing else in the site knows that they are embedded.
Linux only. No Django in here: these modules run before settings have a database.
"""
