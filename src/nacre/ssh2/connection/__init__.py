"""Messages 80-100: channels, requests and flow control (RFC 4254).

Start at mux.py (all channels of a connection), then channel.py, window.py, requests.py, replies.py.
Imports protocol, wire and the outbox; knows nothing of authentication, sockets, processes.
Internal: reached through Engine.connection, an nacre.protocol.engine.ConnectionLayer.
Tests: tests/ssh2/connection; tests/attacks/test_channels.
"""
