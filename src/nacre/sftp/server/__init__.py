"""Serves SFTP over a channel: which call may run, what it does, how it is answered.

Start at service.py (a turn of a session), then lanes.py (which call may run), calls.py (what it
does), answers.py (what is sent); threads.py is for filesystems that block; piped.py serves a
process's own standard streams.
Imports sftp.protocol, sftp.filesystems.base and aio; knows nothing of logins, users and processes.
calls, opened, rows and piped import no asyncio: a file process of the daemon uses them without a
loop.
Internal: use nacre.serve_sftp, or nacre.listen(sftp=...).
Tests: tests/sftp/server; calls per request: tests/bench.
"""
