"""``nacre state``: back up the state of ``nacre serve``, and restore it.

Start at command.py. Imports daemon.backup and daemon.state, both only when a subcommand runs.
Internal. Tests: tests/cli/state.
"""
