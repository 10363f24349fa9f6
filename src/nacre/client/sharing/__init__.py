"""Shared connections: OpenSSH's mux protocol between the programs that share one (PROTOCOL.mux).

A *master* has a connection and listens on a Unix socket (ControlPath). A *client* asks it there for
sessions and forwardings on that connection, and passes it descriptors to read and write.
messages.py has the messages of both roles, without I/O; master.py serves clients, by sockets.py,
and proxy.py those that have channels of their own.
Internal: use ControlPath and ControlMaster (docs/ssh.md), or ``nacre.connect(control=…)``.
Tests: tests/client/sharing; with OpenSSH in the other role: tests/interop.
"""
