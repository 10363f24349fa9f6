"""Backups of a state directory: written while a server runs, and restored into an empty directory.

Start at archive.py (the form), then writing.py and restoring.py.
Imports daemon.state alone. Internal: `nacre state` calls it. Tests: tests/daemon/backup.
"""
