"""What lets a key or a certificate in to an account: files, commands, authorities, revocations.

Start at files.py (reads authorized_keys with the account's rights).
Imports the accounts, config, keys; nothing of policies or connections.
Internal: nacre.daemon.accounts.system asks it.
Tests: tests/daemon/accounts/authorized.
"""
