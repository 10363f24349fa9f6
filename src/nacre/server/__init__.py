"""A server: a socket that listens, its connections and sessions, and the policy that decides.

Start at listen.py (the server), then serving.py (one connection; a login step by step), then
session.py, policy.py and settings.py; peer.py is what all of them import.
Imports aio, tunnels, sftp and scp; knows nothing of accounts, processes, files of configuration.
Internal: use nacre.listen, nacre.Policy, nacre.Users, nacre.Session and nacre.ServerConnection.
Tests: tests/server; with clients of other makes: tests/interop; against misuse: tests/attacks.
"""
