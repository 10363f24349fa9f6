"""``nacre ca``: the certificate authority of ``nacre serve``, and certificates from one.

Start at command.py: a function for each subcommand; getting.py is the client's part.
Imports daemon.authority and daemon.store, or client, only when a subcommand runs.
Internal. Tests: tests/cli/ca, tests/interop/test_certificate_authority.py.
"""
