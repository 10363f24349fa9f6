"""Files that say who may log in: authorized_keys, and the options of its lines.

Start at authorized_keys.py.
Tests: tests/keys/users.
"""
