"""The user store of ``nacre serve``: virtual users, their keys, and what they may do.

Start at store.py; database.py says what it needs of a database, sqlite_file.py opens its file, and
that of the audit, and postgres has the database that servers share. Imports keys and crypto;
daemon.accounts asks it at each login, and ``nacre user`` changes it. Internal. Tests:
tests/daemon/store.
"""
