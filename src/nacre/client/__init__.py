"""The library's client: connect, log in, run commands, forward ports, open SFTP.

Start at connect.py, then connection.py; identities.py (who the user is, with secrets.py and
userkeys.py), trust (who the host is), process.py and tcpip.py (what a connection is used for),
route.py and proxy.py (the way to a host that is not a socket of its own).
configured.py has what a configuration (ssh_config) means for these, target.py what it makes of a
host's name. Imports aio, tunnels, keys, protocol and config, and sftp.client only when SFTP is
used; must not know servers or terminals: those are the programs' (cli).
Internal: use nacre.connect and the classes in nacre.__all__.
Tests: tests/client; with other implementations: tests/interop.
"""
