"""``nacre nodes``: the servers that share a store.

Start with command.py. Imports daemon.nodes and cli.manage. Internal: the interface is the command
line. Tests: tests/cli/nodes.
"""
