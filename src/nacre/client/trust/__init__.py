"""Trust in host keys: whether the server at the other end is the one that was wanted.

Start at files.py (:class:`~nacre.KnownHostsFile`, which answers a connection's question about its
host key from ``known_hosts`` files). The text of these files is understood in
nacre.keys.known_hosts, without I/O.
Imports keys; knows nothing of connections. Use nacre.KnownHostsFile and nacre.AnyHostKey.
Tests: tests/client/trust; with OpenSSH's programs: tests/interop.
"""
