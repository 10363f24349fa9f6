"""What the commands share that look after a server: ``nacre user``, ``audit``, ``top`` and others.

options.py has the options that several of them have, times.py the times and spans that they read.
Imports config and errors; knows no single command. Internal: the interface is the command line.
Tests: tests/cli/manage.
"""
