"""SFTP version 3 without I/O: messages, and the protocol of both roles.

Start at messages.py (requests as values), then server.py (packets to calls, answers to packets) and
client.py (requests to packets, answers to results); pipeline.py decides what a transfer asks for.
Imports wire, errors, limits and value; knows nothing of sockets, clocks, files and SSH.
Internal: use nacre.SFTPClient and nacre.Filesystem; nacre.Attributes and OpenFlag come from here.
Tests: tests/sftp/protocol, also against OpenSSH's programs.
"""
