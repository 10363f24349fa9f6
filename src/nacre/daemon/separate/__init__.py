"""Privilege separation: what each process of the server may do, and what it asks the others.

- ``monitor``: has the rights and the host keys, and reads nothing that a client has sent.
- ``gate``: reads what strangers send, up to the login; has no rights, no files and no keys.
- ``session``: serves the connections of a user after the login, as the user.

Start at process.py (the monitor from start to stop), then monitor.py and users.py (its side of the
others), visit.py (what a gate may ask about a login), gate.py and session.py; between them are
sockets (link.py) with small messages (messages.py, records.py). Imports accounts, processes and
sandbox. Internal: a program's own server is one process. Tests: tests/daemon/separate.
"""
