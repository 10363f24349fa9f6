"""The legacy scp protocol: both roles without I/O, and the server's side over a filesystem.

Start at protocol.py (sink and source), then server.py (``scp -t`` and ``-f``); command.py parses
the command line that a client sends. The client's side with I/O is in cli/scp.
Imports sftp's paths, filesystems and opened files; knows nothing of channels and sessions.
Internal: nacre.listen(sftp=...) serves scp too.
Tests: tests/scp, tests/cli/scp; what a hostile source may send: tests/attacks.
"""
