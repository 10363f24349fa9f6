"""``nacre scp``: copy files between hosts, as scp(1) does.

Start at command.py, then program.py (the way each source is copied), then legacy.py (scp's own
protocol, -O).
Imports sftp.client, scp, client, config and cli.common; knows nothing of ssh and sftp.
Internal: use Connection.sftp() with get, put and copy. Tests: tests/cli/scp, tests/interop.
"""
