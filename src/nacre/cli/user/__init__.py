"""``nacre user``: add, change and remove the users of ``nacre serve``.

Start at command.py: a function for each subcommand.
Imports daemon.accounts (the store) and daemon.state, both only when a subcommand runs.
Internal: there is no public name for the store. Tests: tests/cli/user.
"""
