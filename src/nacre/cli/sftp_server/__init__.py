"""``nacre sftp-server``: serve SFTP on standard input and output, as sftp-server(8) does.

command.py is all of it: the options are read by sftp.server.restrictions, the session is served by
sftp.server.piped.
Imports sftp.server, sftp.filesystems and cli.common; knows nothing of connections and logins.
Internal: a program's own server uses nacre.serve_sftp. Tests: tests/cli/sftp_server,
tests/interop/test_sftp_server_program.py.
"""
