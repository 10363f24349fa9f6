"""``nacre sftp``: transfer files by commands, as sftp(1) does.

Start at command.py, then program.py (the loop's thread and the main thread), then dispatch.py (the
table of commands); the commands are in browsing, changes, transfers and local.
Imports sftp.client, client, config and cli.common; knows nothing of ssh and scp.
Internal: use Connection.sftp(). Tests: tests/cli/sftp, tests/interop/test_sftp_client.py.
"""
