"""``nacre serve``: the options of the server.

Start at command.py, which hands everything to nacre.daemon.daemon.Daemon.
Imports config.server and daemon, both only when the server starts; has no logic of a server.
Internal: use nacre.listen. Tests: tests/cli/serve, tests/daemon.
"""
