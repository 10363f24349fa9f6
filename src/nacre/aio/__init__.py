"""An SSH engine over asyncio, for both roles: sockets, streams, channels.

Start at driver.py (bytes in and out), then connection.py (events to handlers), channel.py and
stream.py (what users read and write); dial.py and versions.py come before a connection; carrier.py
stands for a socket where there is none.
Imports protocol, ssh1, ssh2, wire and errors; must not know clients, servers or files.
Internal: use nacre.connect, nacre.listen, nacre.Reader and nacre.Writer.
Tests: tests/aio; what a packet may cost: tests/bench.
"""
