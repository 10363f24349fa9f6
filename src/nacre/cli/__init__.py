"""The ``nacre`` command and its programs: arguments, output and exit statuses.

Start at main.py, then group.py, then <program>/command.py; common/ has what several programs share.
Imports everything below it; no other package imports it. Logic that a library user could need
belongs to client, sftp, scp, server or daemon.
Internal: the interface is the command line (docs/ssh.md, docs/serve.md).
Tests: tests/cli; beside OpenSSH's programs: tests/interop.
"""
