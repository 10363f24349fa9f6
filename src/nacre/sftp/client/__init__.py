"""The client's side of SFTP over asyncio: a session, open files, and copies of files and trees.

Start at client.py (the public class, put together from calls.py, attributes.py, names.py and
copies.py), then session.py (requests and answers), then transfers.py, movers.py and pumps.py (a
tree, a file, the bytes of one). Imports sftp.protocol and aio.line; knows nothing of connections.
Internal: use nacre.Connection.sftp, nacre.SFTPClient and nacre.SFTPFile.
Tests: tests/sftp/client; against real servers: tests/interop; calls per request: tests/bench.
"""
