"""The server's side of forwarding: ports and Unix sockets (RFC 4254 section 7).

Start at forwards.py, which answers channels and global requests from tables by their names. Loaded
when a client forwards something. Imports tunnels, aio, protocol, and the server's connection and
questions; must not know of sessions.
Internal: use nacre.Policy. Agents are in server/agent.py, because sessions make their sockets.
Tests: tests/server/forwarding.
"""
