"""``nacre add``, also installed as ``nacre-ssh-add``: the keys of an agent, as ssh-add(1).

Start at command.py. The command line is in arguments.py; each action in the module that
command.py's table names.
Imports client, agent, keys and cli.common. Tests: tests/cli/add; OpenSSH's agent: tests/interop.
"""
