"""Users: virtual ones in a store, and accounts of this system; what each may do, and as whom.

Start at policy.py (AccountPolicy, StorePolicy), then system.py (SystemPolicy), then accounts.py
(Login: what a user works as); verifiers.py asks PAM or shadow.py.
Imports nacre.server's policy and connection, keys, config, daemon.store, and processes'
Program and PAM.
Internal: a program's own users are a nacre.Policy, or nacre.Users.
Tests: tests/daemon/accounts.
"""
