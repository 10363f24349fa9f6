"""Messages 80-100: channels, requests and flow control (RFC 4254).

Start at mux.py (how channels open and end). It is made of three layers: request_layer.py on
data_layer.py on table.py. Then channel.py, window.py, requests.py, replies.py.
Imports protocol, wire and the outbox; knows nothing of authentication, sockets, processes.
Internal: reached through Engine.connection, an nacre.protocol.engine.ConnectionLayer.
Tests: tests/ssh2/connection; tests/attacks/test_channels.
"""
