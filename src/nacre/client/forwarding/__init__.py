"""The client's side of forwarding: ports, Unix sockets, SOCKS and an agent (RFC 4254 section 7).

Start at forwards.py, which answers the channels that the server opens from a table by their type.
Loaded when something is forwarded. Imports tunnels, aio, agent and protocol; must not know of
logins. Internal: use the forward_... and open_... methods of nacre.Connection.
Tests: tests/client/forwarding.
"""
