"""sshd_config: the configuration of a server.

Start at files.py: load reads a file and options, by reader.py, into the ServerRules of rules.py,
whose lookup returns the ServerConfig of config.py for a connection. words.py is the schema; dump.py
prints a configuration as sshd -T does.
"""
