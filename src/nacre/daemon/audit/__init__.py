"""The audit of ``nacre serve``: events that are in a table before what they tell of is answered.

Start at writer.py, whose thread writes the table of table.py; trail.py has what a connection tells.
Imports sftp.server and store; the monitor, session processes and processes of files use it, and
``nacre audit`` reads it. Internal. Tests: tests/daemon/audit.
"""
