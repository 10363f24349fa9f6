"""``nacre keyscan``: print the host keys of servers, as ssh-keyscan(1) does.

command.py is the program; arguments.py its command line; targets.py the hosts to ask; scanning.py
the connections.
Imports client, keys and cli.common. Internal. Tests: tests/cli/keyscan,
tests/interop/test_keyscan.py.
"""
