"""SFTP, one subject in four packages: the protocol without I/O, both roles over asyncio, files.

Start at protocol/messages.py, then protocol/server.py or client.py, then server/service.py or
client/session.py. ``client`` and ``server`` import ``aio`` and know nothing of each other, of
logins and of the commands; ``protocol`` imports ``wire`` only.
Internal: use nacre.SFTPClient, nacre.serve_sftp and nacre.Filesystem.
Tests: tests/sftp, in folders of the same names; calls per request: tests/bench.
"""
