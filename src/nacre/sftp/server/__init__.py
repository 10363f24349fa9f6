"""Serves SFTP over a channel: which call may run, what it does, how it is answered.

Start at service.py (a turn of a session), then lanes.py (which call may run), calls.py (what it
does), answers.py (what is sent); threads.py is for filesystems that block. piped.py serves a
process's own standard streams; restrictions.py has the options of sftp-server(8).
Imports sftp.protocol, sftp.filesystems, aio and config; knows nothing of logins, users and
processes. piped and what it needs import no asyncio: a file process of the daemon has no loop.
Internal: use nacre.serve_sftp, or nacre.listen(sftp=...).
Tests: tests/sftp/server; calls per request: tests/bench.
"""
