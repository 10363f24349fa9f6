"""What carries other programs' connections through channels, for both roles.

Start at relay.py (a socket and a channel), then listeners.py (sockets that accept) and socks.py.
Imports aio, protocol and wire; must not know whether it runs in a client or a server: the requests
of RFC 4254 section 7 are in client/forwarding/forwards.py and server/forwarding/forwards.py.
Internal: use the forward_... methods of nacre.Connection, and nacre.Policy.
Tests: tests/tunnels.
"""
