"""ssh_config and sshd_config, from files to typed values.

Start at schema.py (what a keyword is), then client/words.py (ssh_config) and server/words.py
(sshd_config). syntax/ has the form of the files; kinds.py and values.py the types of values.
Imports protocol.options (names of algorithms), keys.patterns and limits; opens no connection.
Tests: tests/config.
"""
