"""``nacre ssh``: log in to a host, or run a command there, as ssh(1) does.

Start at command.py (the order of a run), then session.py (streams to a remote process), then
standard.py and terminal.py; tunnels.py has the forwardings, escapes.py the ``~`` sequences,
master.py the shared connection, keystrokes.py the times of what is typed, local.py what happens on
this machine after the login.
Imports client, config and cli.common; knows nothing of sftp and scp.
Internal: use nacre.connect and its process(). Tests: tests/cli/ssh, tests/interop/test_tools.py.
"""
