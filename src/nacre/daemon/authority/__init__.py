"""The certificate authority of a state directory: short-lived certificates of users, and of hosts.

Start at issuing.py (what a user gets), then files.py (the authorities' keys, and what is revoked).
Imports keys, daemon.store and daemon.state; daemon.accounts asks it for users who have logged in,
and ``nacre ca`` does the rest. Internal. Tests: tests/daemon/authority.
"""
