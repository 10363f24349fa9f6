"""The library's client: connect, log in, run commands, forward ports, open SFTP.

Start at connect.py, then connection.py; identities.py (who the user is, with secrets.py and
userkeys.py), trust.py (who the host is), process.py and tcpip.py (what a connection is used for),
route.py and proxy.py (the way to a host that is not a socket of its own).
Imports aio, tunnels, keys and protocol, sftp.client only when SFTP is used, and config.destination
(how jump hosts are written) only when there are some; must not know servers, configuration files or
terminals: those are the programs' (cli).
Internal: use nacre.connect and the classes in nacre.__all__.
Tests: tests/client; with other implementations: tests/interop.
"""
