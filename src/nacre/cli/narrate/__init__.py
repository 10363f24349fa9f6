"""What ``-v``, ``-vv`` and ``-vvv`` tell about a connection, for ssh, sftp and scp alike.

Loaded only with ``-v``. Imports the protocol's events and messages; knows no program.
Internal. Tests: tests/cli/narrate.
"""
