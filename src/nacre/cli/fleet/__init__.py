"""``nacre fleet``: one task at many hosts, on the command line.

command.py has the subcommands, options.py what they share, working.py does the run, screen.py shows
it while it goes on, and printing.py what came of it. Imports fleet. Internal: the interface is the
command line. Tests: tests/cli/fleet.
"""
