"""The quick start of ``nacre ssh``: through the connection of a master, before anything is loaded.

cli/entry.py is where the installed programs begin. reading.py finds out whether the command line
and the configuration name a master; session.py has the session that it opens. Where one of them
meets what it does not surely understand, the program itself goes on, and reads everything in full.
These modules import what Python has loaded anyway, and nothing of nacre: each further module would
take about as long as the session. cli/ssh/sharing.py makes the same requests from a whole
configuration.
Internal: the interface is the command line (docs/ssh.md).
Tests: tests/cli/quick; with OpenSSH in the other role: tests/interop/test_through_master.py.
"""
