"""The user store in a database of PostgreSQL, which several servers share.

Start at shared_database.py. Imports the store's tables and migrations; the store imports it where a
URL names a database. Needs the extra ``postgres``. Internal. Tests: tests/daemon/store/postgres,
and tests/daemon/store over both databases.
"""
