"""``nacre keygen``: make keys, show and change key files, as ssh-keygen(1) does.

Start at command.py (questions and actions), then keyfiles.py (reading and writing the files).
Imports keys, client.userkeys and cli.common; opens no connection.
Internal: use nacre.generate and nacre.keys. Tests: tests/cli/keygen, tests/interop/test_keygen.py.
"""
