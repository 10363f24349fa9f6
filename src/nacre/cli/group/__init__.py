"""``nacre group``: add, change and remove groups of the users of ``nacre serve``.

Start at command.py: a function for each subcommand. The options are those of nacre.cli.user.
Internal: there is no public name for the store. Tests: tests/cli/group.
"""
