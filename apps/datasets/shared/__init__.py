"""A recipe carried out by Celery workers, of this machine and of others that see the same folders.

Each chunk is a task of its own. What is to be done and what came of it are files. Who does it is a row in Postgres,
with a lease, so that another worker does a chunk whose worker died. A chunk
gives the same bytes wherever and however often it is done.
"""
