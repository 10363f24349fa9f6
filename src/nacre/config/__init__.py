"""Keywords of ssh_config and sshd_config, from text to typed values.

Start at values.py (the kinds of values), then client.py (ssh_config) and server.py (sshd_config):
each has a table of keywords; tokens.py, tunnels.py and destination.py have the grammar of some
values.
Imports protocol.options (names of algorithms) and limits; reads no files and opens no connection.
Internal: programs use it; the library's options are arguments of nacre.connect and nacre.listen.
Tests: tests/config.
"""
