"""Recordings for the API: a process with the account of the recorder lists and opens them.

Internal. Tests: tests/cli/api/recordings.
"""
