"""``nacre-sshd``: serve the accounts of this system, with the options and the file of sshd(8).

Start at command.py (the order of a run); arguments.py has the command line. Imports config and
daemon; knows nothing of the client's programs. It runs without click.
Internal. Tests: tests/cli/sshd, tests/interop/test_sshd_program.py.
"""
