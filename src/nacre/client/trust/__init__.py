"""Trust in host keys: whether the server at the other end is the one that was wanted.

Start at files.py (:class:`~nacre.KnownHostsFile`, which answers a connection's question about its
host key from ``known_hosts`` files; sources.py reads them). Loaded when they are needed:
certificates.py, revoked.py, sshfp.py (the DNS) and rotation.py (keys that a server announces).
check.py has what a connection wants of any such object. The text of the files is understood in
nacre.keys.hosts.known_hosts and nacre.keys.hosts.rotation, without I/O.
Imports keys and client.hostfile; knows nothing of connections.
Use nacre.KnownHostsFile and nacre.AnyHostKey.
Tests: tests/client/trust; with OpenSSH's programs: tests/interop.
"""
