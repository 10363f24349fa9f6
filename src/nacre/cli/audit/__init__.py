"""``nacre audit``: search the audit of ``nacre serve``, verify it, export it, remove what is old.

Start at command.py. Imports daemon.audit when a command runs. Internal. Tests: tests/cli/audit.
"""
